/* Looks for what WASI could give away: files, environment, arguments; and sleeps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static char input[1 << 12], output[1 << 12];

__attribute__((export_name("loom_alloc"))) void *loom_alloc(unsigned size) {
    return size <= sizeof input ? input : NULL;
}

static unsigned long long answer(unsigned length) {
    return (unsigned long long)(unsigned long)output << 32 | length;
}

__attribute__((export_name("probe"))) unsigned long long probe(const char *text, unsigned length) {
    char path[256] = {0};
    for (unsigned i = 0, at = 0; i < length && at < 255; i++)
        if (text[i] != '"' && text[i] != '{' && text[i] != '}') path[at++] = text[i];
    char *place = strstr(path, ":") ? strstr(path, ":") + 1 : path;
    FILE *file = fopen(place, "r");
    FILE *made = fopen(place, "a");
    int variables = 0;
    while (environ && environ[variables]) variables++;
    return answer((unsigned)snprintf(
        output, sizeof output, "{\"read\": %d, \"written\": %d, \"variables\": %d}", file != NULL,
        made != NULL, variables));
}

__attribute__((export_name("doze"))) unsigned long long doze(const char *text, unsigned length) {
    (void)text, (void)length;
    sleep(30);
    return answer((unsigned)snprintf(output, sizeof output, "\"awake\""));
}

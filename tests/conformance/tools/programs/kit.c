/* The tools of the kit for WebAssembly. -DEXTISM: as functions of an Extism plugin; else as
   component.py puts them into a component. Arguments come as JSON without spaces, in the order
   in which the scenarios write them. */
#include <stdint.h>

#define ROOM (1 << 20)

typedef struct {
    const char *at;
    uint32_t length;
    int32_t is_error;
} Text;

/* Behind the module's own data; arrays would make an imported memory's module large. */
extern char __heap_base;
#define input (&__heap_base)
#define output (&__heap_base + ROOM)

static int64_t now(void);
static void progress(double done, double total, Text message);

static Text cut(const char *begin, const char *end) {
    return (Text){begin, (uint32_t)(end - begin), 0};
}

/* What stands behind "key": up to the end of the object; nothing if it is not there. */
static Text after(Text given, const char *key) {
    const char *end = given.at + given.length - 1;
    for (const char *at = given.at; at < end; at++) {
        uint32_t i = 0;
        while (key[i] && at + i < end && at[i] == key[i]) i++;
        if (!key[i]) return cut(at + i, end);
    }
    return cut(end, end);
}

static double number(Text text) {
    uint32_t i = 0;
    double value = 0, place = 0;
    int is_negative = text.length && text.at[0] == '-';
    for (i += is_negative; i < text.length; i++) {
        char letter = text.at[i];
        if (letter == '.') {
            place = 1;
        } else if (letter >= '0' && letter <= '9') {
            value = value * 10 + (letter - '0');
            place *= 10;
        } else {
            break;
        }
    }
    value = place > 0 ? value / place : value;
    return is_negative ? -value : value;
}

static char *write_number(char *end, int64_t value) {
    int is_negative = value < 0;
    if (is_negative) value = -value;
    do *--end = (char)('0' + value % 10); while (value /= 10);
    if (is_negative) *--end = '-';
    return end;
}

static Text whole(int64_t value) {
    char *end = output + 32;
    return cut(write_number(end, value), end);
}

static void wait(double seconds) {
    int64_t until = now() + (int64_t)(seconds * 1000);
    while (now() < until) continue;
}

static Text echo(Text given) { return after(given, "\"value\":"); }

static Text add(Text given) {
    return whole((int64_t)number(after(given, "\"a\":")) +
                 (int64_t)number(after(given, "\"b\":")));
}

static Text fail(Text given) {
    Text message = after(given, "\"message\":");
    return (Text){message.at + 1, message.length - 2, 1};
}

static Text nap(Text given) {
    Text value = after(given, "\"value\":");
    wait(number(after(given, "\"seconds\":")));
    return value.length ? value : (Text){"null", 4, 0};
}

static Text big(Text given) {
    uint32_t size = (uint32_t)number(after(given, "\"size\":"));
    for (uint32_t i = 0; i < size; i++) output[i + 1] = 'x';
    output[0] = output[size + 1] = '"';
    return cut(output, output + size + 2);
}

static Text steps(Text given) {
    int64_t count = (int64_t)number(after(given, "\"count\":"));
    for (int64_t step = 1; step <= count; step++) {
        char *end = output + 64, *begin = write_number(end, step);
        for (int i = 4; i >= 0; i--) *--begin = "step "[i];
        wait(number(after(given, "\"pause\":")));
        progress((double)step, (double)count, cut(begin, end));
    }
    return whole(count);
}

static Text crash(Text given) { __builtin_trap(); }

#ifdef EXTISM
#include "loom_extism.h"

HOST(now) int64_t host_now(void);
HOST(progress) void host_progress(double done, double total, uint64_t message);

static int64_t now(void) { return host_now(); }

static void progress(double done, double total, Text message) {
    host_progress(done, total, to_host(message.at, message.length));
}

static int32_t run(Text (*tool)(Text)) {
    uint32_t length = (uint32_t)input_length();
    for (uint32_t i = 0; i < length; i++) input[i] = (char)input_load_u8(i);
    Text said = tool(cut(input, input + length));
    uint64_t place = to_host(said.at, said.length);
    if (said.is_error) error_set(place); else output_set(place, said.length);
    return said.is_error;
}

#define TOOL(name, tool) \
    __attribute__((export_name(#name))) int32_t export_##name(void) { return run(tool); }
#else
#define LOOM(name) __attribute__((import_module("loom"), import_name(#name))) extern

LOOM(now) int64_t host_now(void);
LOOM(progress) void host_progress(double done, double total, const char *at, uint32_t length);

static int64_t now(void) { return host_now(); }

static void progress(double done, double total, Text message) {
    host_progress(done, total, message.at, message.length);
}

/* Where the component model wants the caller's string. */
__attribute__((export_name("realloc"))) void *place(void *old, uint32_t before, uint32_t align,
                                                    uint32_t size) {
    return size <= ROOM ? input : (void *)0;
}

/* Its result<string, string>. */
static struct {
    int32_t is_error;
    const char *at;
    uint32_t length;
} result;

static void *run(Text (*tool)(Text), const char *at, uint32_t length) {
    Text said = tool(cut(at, at + length));
    result.is_error = said.is_error, result.at = said.at, result.length = said.length;
    return &result;
}

#define TOOL(name, tool)                                                            \
    __attribute__((export_name(#name))) void *export_##name(const char *at, uint32_t n) { \
        return run(tool, at, n);                                                    \
    }
#endif

TOOL(echo, echo)
TOOL(add, add)
TOOL(fail, fail)
TOOL(sleep, nap)
TOOL(big, big)
TOOL(steps, steps)
TOOL(crash, crash)

/* {{ cookiecutter.name }}: {{ cookiecutter.summary }}.

   A tool is an exported function. Its input is JSON, the arguments of the call; it answers with
   JSON. It returns 0, or another number after error_set. */
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("extism:host/env"), import_name(#name))) extern
#define EXPORT(name) __attribute__((export_name(#name))) int32_t name(void)

IMPORT(input_length) uint64_t input_length(void);
IMPORT(input_load_u8) uint8_t input_load_u8(uint64_t offset);
IMPORT(alloc) uint64_t host_alloc(uint64_t size);
IMPORT(store_u8) void store_u8(uint64_t offset, uint8_t byte);
IMPORT(output_set) void output_set(uint64_t offset, uint64_t length);

static void answer(const char *text, uint64_t length) {
    uint64_t place = host_alloc(length);
    for (uint64_t i = 0; i < length; i++) store_u8(place + i, (uint8_t)text[i]);
    output_set(place, length);
}

static void answer_number(uint32_t number) {
    char digits[10];
    int at = 10;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    answer(digits + at, (uint64_t)(10 - at));
}

/* The arguments are {"text": "..."}: counted is what stands between the last two quotes. */
EXPORT(count) {
    uint64_t end = input_length();
    uint32_t letters = 0;
    while (end > 0 && input_load_u8(end - 1) != '"') end--;
    for (uint64_t i = end > 0 ? end - 1 : 0; i > 0; i--) {
        uint8_t byte = input_load_u8(i - 1), lower = byte | 0x20;
        if (i > 1 && input_load_u8(i - 2) == '\\') {
            i--; /* what follows a backslash is no letter of the text */
            continue;
        }
        if (byte == '"') break;
        letters += (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9');
    }
    answer_number(letters);
    return 0;
}

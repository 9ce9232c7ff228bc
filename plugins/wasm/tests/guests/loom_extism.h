/* What a guest in C needs of Extism's calling convention, and nothing else. */
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("extism:host/env"), import_name(#name))) extern
#define HOST(name) __attribute__((import_module("extism:host/user"), import_name(#name))) extern
#define EXPORT(name) __attribute__((export_name(#name))) int32_t name(void)

IMPORT(input_length) uint64_t input_length(void);
IMPORT(input_load_u8) uint8_t input_load_u8(uint64_t offset);
IMPORT(alloc) uint64_t host_alloc(uint64_t size);
IMPORT(length) uint64_t host_length(uint64_t offset);
IMPORT(store_u8) void store_u8(uint64_t offset, uint8_t byte);
IMPORT(load_u8) uint8_t load_u8(uint64_t offset);
IMPORT(output_set) void output_set(uint64_t offset, uint64_t length);
IMPORT(error_set) void error_set(uint64_t offset);

static uint64_t text_length(const char *text) {
    uint64_t length = 0;
    while (text[length]) length++;
    return length;
}

static uint64_t to_host(const char *text, uint64_t length) {
    uint64_t place = host_alloc(length);
    for (uint64_t i = 0; i < length; i++) store_u8(place + i, (uint8_t)text[i]);
    return place;
}

static void answer(const char *text) {
    uint64_t length = text_length(text);
    output_set(to_host(text, length), length);
}

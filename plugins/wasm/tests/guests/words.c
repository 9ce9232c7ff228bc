#include "loom_extism.h"

/* Counts the words of its input as a whole, which is JSON text. */
EXPORT(count) {
    uint64_t length = input_length(), words = 0;
    int is_inside = 0;
    for (uint64_t i = 0; i < length; i++) {
        uint8_t byte = input_load_u8(i);
        int is_letter = byte > ' ';
        if (is_letter && !is_inside) words++;
        is_inside = is_letter;
    }
    char digits[32];
    int at = 31;
    digits[at] = 0;
    do digits[--at] = (char)('0' + words % 10); while (words /= 10);
    answer(digits + at);
    return 0;
}

EXPORT(echo) {
    uint64_t length = input_length(), place = host_alloc(length);
    for (uint64_t i = 0; i < length; i++) store_u8(place + i, input_load_u8(i));
    output_set(place, length);
    return 0;
}

EXPORT(refuse) {
    error_set(to_host("I will not", 10));
    return 1;
}

EXPORT(mutter) {
    answer("no JSON at all");
    return 0;
}

EXPORT(spin) {
    for (volatile int i = 0;; i++) {
    }
}

static volatile int calls;

EXPORT(remember) {
    calls++;
    answer(calls == 1 ? "1" : "2");
    return 0;
}

EXPORT(grow) {
    while (__builtin_wasm_memory_grow(0, 16) != (unsigned long)-1) {
    }
    answer("\"refused\"");
    return 0;
}

/* Answers an event with one of its own, and with one that it may not publish if asked to. */
EXPORT(handle_event) {
    uint64_t length = input_length();
    for (uint64_t i = 0; i + 5 < length; i++)
        if (input_load_u8(i) == 'e' && input_load_u8(i + 1) == 'v' && input_load_u8(i + 2) == 'i' &&
            input_load_u8(i + 3) == 'l') {
            answer("[{\"topic\": \"home.door.opened\"}]");
            return 0;
        }
    answer("[{\"topic\": \"words.counted\", \"data\": {\"count\": 2}}]");
    return 0;
}

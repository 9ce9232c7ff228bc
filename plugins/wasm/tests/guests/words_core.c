/* The same tool by the smallest convention: no Extism, no library. */
#include <stdint.h>

static uint8_t input[1 << 16], output[1 << 16];

__attribute__((export_name("loom_alloc"))) void *loom_alloc(uint32_t size) {
    return size <= sizeof input ? input : (void *)0;
}

__attribute__((export_name("echo"))) uint64_t echo(const uint8_t *text, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) output[i] = text[i];
    return (uint64_t)(uintptr_t)output << 32 | length;
}

__attribute__((export_name("refuse"))) uint64_t refuse(const uint8_t *text, uint32_t length) {
    (void)text, (void)length;
    return (uint64_t)(uintptr_t) "I will not" << 32 | 1u << 31 | 10;
}

static volatile uint64_t calls = '0';

__attribute__((export_name("remember"))) uint64_t remember(const uint8_t *text, uint32_t length) {
    (void)text, (void)length;
    output[0] = (uint8_t)++calls;
    return (uint64_t)(uintptr_t)output << 32 | 1;
}

/* Text of others on its way to a terminal. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "client/ui/harmless.h"

static char *pass(const char *p, size_t n, size_t step)
{
    char *text;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    struct harmless h;
    FILE *f = harmless_open(&h, to);
    for (size_t at = 0; at < n; at += step) {
        assert_int_equal(fwrite(p + at, 1, MIN(step, n - at), f), MIN(step, n - at));
        fflush(f);
    }
    harmless_close(&h, f);
    fclose(to);
    return text;
}

static void what_a_terminal_obeys_is_shown(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"NAME   READY\tSTATUS\nweb-1\n", "NAME   READY\tSTATUS\nweb-1\n"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82"},
        {"\033]0;owned\a", "^[]0;owned^G"}, /* the window's title */
        {"a\rb\bc\x7f", "a^Mb^Hc^?"},       /* overwriting what stands there */
        {"\033[2J\033[8mhidden", "^[[2J^[[8mhidden"},
        {"\033[31merror:\033[0m \033[33m", "\033[31merror:\033[0m \033[33m"}, /* rctl's own */
        {"\033[3\033[31mx", "^[[3\033[31mx"},
        {"\033", "^["},
        {"\xc2\x9b"
         "2J",
         "\\x9b2J"}, /* CSI as one character */
        {"\x9b"
         "2J",
         "\\x9b2J"}, /* and as one byte */
        {"\xc2", "\\xc2"},
        {"\xe2\x82", "\\xe2\\x82"},
        {"\xc0\x9b\xed\xa0\x80", "\\xc0\\x9b\\xed\\xa0\\x80"}, /* longer than need be; a surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
        {"user\xe2\x80\xae"
         "nimda",
         "user\\u202enimda"}, /* text turned around */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t step = 1; step <= 3; step++) { /* wherever it is cut */
            char *text = pass(rows[i].in, strlen(rows[i].in), step);
            assert_string_equal(text, rows[i].out);
            free(text);
        }
    }
}

static void no_bytes_at_all_reach_a_terminal_as_orders(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (unsigned round = 0; round < 300; round++) {
        char bytes[200];
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] = (char)(seed % 5 == 0 ? 0x1b : seed % 5 == 1 ? 0x80 + (seed >> 24) % 0x80 : seed >> 24);
        }
        char *text = pass(bytes, sizeof bytes, 1 + seed % 7);
        for (const char *p = text; *p != '\0'; p++) {
            bool colour =
                strncmp(p, "\033[31m", 5) == 0 || strncmp(p, "\033[33m", 5) == 0 || strncmp(p, "\033[0m", 4) == 0;
            assert_true(colour || *p == '\n' || *p == '\t' || ((uint8_t)*p >= 0x20 && *p != 0x7f));
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_obeys_is_shown),
        cmocka_unit_test(no_bytes_at_all_reach_a_terminal_as_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

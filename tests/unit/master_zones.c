/* The time zones of a machine: against its C library; read anew when a file has changed; bounded. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "master/zones.h"

static int64_t at(const char *text)
{
    int64_t ms;
    assert_true(timefmt_parse(str_of(text), &ms));
    return ms / 1000;
}

static void zones_of_this_machine_agree_with_its_c_library(void **state)
{
    (void)state;
    static const char *const names[] = {"Europe/Berlin",       "America/New_York",  "Asia/Kathmandu",
                                        "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia",
                                        "Africa/Casablanca"};
    struct zones *zones = zones_new(ZONES_DIRECTORY);
    struct error err = {0};
    if (zones_get(zones, STR("Europe/Berlin"), NULL) == NULL) {
        print_message("tzdata is not installed: skipped\n");
        zones_free(zones);
        skip();
    }
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        const struct zone *z = zones_get(zones, str_of(names[i]), &err);
        assert_non_null(z);
        assert_ptr_equal(zones_get(zones, str_of(names[i]), &err), z); /* kept */
        setenv("TZ", names[i], 1);
        tzset();
        for (int64_t t = at("1975-01-01T00:00:00Z"); t < at("2060-01-01T00:00:00Z"); t += 86400 * 3 + 1237) {
            time_t then = (time_t)t;
            struct tm tm;
            localtime_r(&then, &tm);
            if (zone_span_at(z, t).offset_s != tm.tm_gmtoff) {
                fail_msg("%s at %lld: %d and not %ld", names[i], (long long)t, zone_span_at(z, t).offset_s,
                         tm.tm_gmtoff);
            }
        }
    }
    assert_null(zones_get(zones, STR("Middle/Earth"), &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_null(zones_get(zones, STR("Europe"), &err)); /* a directory */
    assert_null(zones_get(zones, STR("../../../etc/passwd"), &err));
    unsetenv("TZ");
    tzset();
    zones_free(zones);
}

/* The shortest file there is: one offset for ever, and no rule behind it. */
static void file_write(const char *path, int32_t offset_s)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (unsigned twice = 0; twice < 2; twice++) {
        const uint8_t head[44] = {'T', 'Z', 'i', 'f', '2', [39] = 1, [43] = 4};
        buf_append(&b, head, sizeof head);
        for (unsigned i = 4; i-- > 0;) {
            buf_putc(&b, (char)(offset_s >> (8 * i) & 0xff));
        }
        buf_append(&b, "\0\0ABC", 6);
    }
    buf_puts(&b, "\n\n");
    CLEANUP_FREE char *other = xasprintf("%s.new", path); /* as packages are brought up to date: by a rename */
    FILE *f = fopen(other, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b.data, 1, b.size, f), b.size);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(other, path), 0);
}

static void a_file_that_has_changed_is_read_anew_and_the_oldest_is_dropped(void **state)
{
    (void)state;
    char dir[] = "/tmp/reeve-zones-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    struct zones *zones = zones_new(dir);
    snprintf(path, sizeof path, "%s/A", dir);
    file_write(path, 3600);
    assert_int_equal(zone_span_at(zones_get(zones, STR("A"), NULL), 0).offset_s, 3600);
    file_write(path, 7200);
    assert_int_equal(zone_span_at(zones_get(zones, STR("A"), NULL), 0).offset_s, 7200);
    for (unsigned i = 0; i < ZONES_MAX + 3; i++) { /* links cost less than files */
        char name[32], other[64];
        snprintf(name, sizeof name, "B%u", i);
        snprintf(other, sizeof other, "%s/%s", dir, name);
        assert_int_equal(link(path, other), 0);
        assert_int_equal(zone_span_at(zones_get(zones, str_of(name), NULL), 0).offset_s, 7200);
        assert_int_equal(unlink(other), 0);
        assert_null(zones_get(zones, str_of(name), NULL)); /* what is gone is not known any more */
    }
    assert_int_equal(zone_span_at(zones_get(zones, STR("A"), NULL), 0).offset_s, 7200);
    struct error err = {0};
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), ZONE_FILE_MAX + 1), 0);
    fclose(f);
    assert_null(zones_get(zones, STR("A"), &err));
    assert_int_equal(err.code, ERR_INVALID);
    unlink(path);
    rmdir(dir);
    zones_free(zones);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones_of_this_machine_agree_with_its_c_library),
        cmocka_unit_test(a_file_that_has_changed_is_read_anew_and_the_oldest_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

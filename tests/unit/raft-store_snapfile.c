/* The state of a snapshot as a file of its own: whole or not there, found by its reference alone, swept when nobody
 * refers to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/mem.h"
#include "raft-store/disk/snapfile.h"

struct place {
    char dir[64];
};

static int set_up(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    snprintf(p->dir, sizeof p->dir, "/tmp/reeve-snapfile-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    *state = p;
    return 0;
}

static unsigned each_file(const char *dir, const char *suffix, bool remove_it)
{
    unsigned count = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name), m = strlen(suffix);
        if (e->d_name[0] != '.' && n >= m && strcmp(e->d_name + n - m, suffix) == 0) {
            count++;
            if (remove_it) {
                unlinkat(dirfd(d), e->d_name, 0);
            }
        }
    }
    closedir(d);
    return count;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    each_file(p->dir, "", true);
    rmdir(p->dir);
    free(p);
    return 0;
}

static uint8_t *content(size_t n)
{
    uint8_t *p = xmalloc(n);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(i * 31 + i / 251);
    }
    return p;
}

static void write_one(const char *dir, const uint8_t *p, size_t n, uint8_t ref[SNAPFILE_REF_SIZE])
{
    struct snapfile_writer *w;
    struct error err = {0};
    assert_int_equal(snapfile_create(dir, &w, &err), 0);
    for (size_t at = 0; at < n; at += 700000) {
        assert_int_equal(snapfile_write(w, p + at, MIN(n - at, (size_t)700000), &err), 0);
    }
    assert_int_equal(snapfile_finish(w, ref, &err), 0);
}

static void what_was_written_is_found_by_its_reference(void **state)
{
    struct place *p = *state;
    size_t n = 3 * SNAPFILE_FLUSH_SIZE + 12345;
    uint8_t *bytes = content(n), ref[SNAPFILE_REF_SIZE];
    struct snapfile_map map;
    struct error err = {0};
    write_one(p->dir, bytes, n, ref);
    assert_true(snapfile_is_ref(ref, sizeof ref));
    assert_int_equal(snapfile_map(p->dir, ref, sizeof ref, &map, &err), 0);
    assert_int_equal(map.n, n);
    assert_memory_equal(map.p, bytes, n);
    assert_true(snapfile_hash(ref) == XXH3_64bits(bytes, n));
    snapfile_unmap(&map);
    assert_int_equal(each_file(p->dir, ".part", false), 0);
    free(bytes);
}

static void parts_in_any_order_make_the_same_file(void **state)
{
    struct place *p = *state;
    size_t n = 1000000;
    uint8_t *bytes = content(n), ref[SNAPFILE_REF_SIZE];
    struct snapfile_writer *w;
    struct snapfile_map map;
    struct error err = {0};
    assert_int_equal(snapfile_create(p->dir, &w, &err), 0);
    static const size_t order[] = {600000, 0, 800000, 200000, 400000};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(snapfile_write_at(w, order[i], bytes + order[i], 200000, &err), 0);
    }
    assert_int_equal(snapfile_finish(w, ref, &err), 0);
    assert_true(snapfile_hash(ref) == XXH3_64bits(bytes, n));
    assert_int_equal(snapfile_map(p->dir, ref, sizeof ref, &map, &err), 0);
    assert_memory_equal(map.p, bytes, n);
    snapfile_unmap(&map);
    free(bytes);
}

static void an_aborted_file_leaves_nothing(void **state)
{
    struct place *p = *state;
    struct snapfile_writer *w;
    struct error err = {0};
    assert_int_equal(snapfile_create(p->dir, &w, &err), 0);
    assert_int_equal(snapfile_write(w, "abc", 3, &err), 0);
    snapfile_abort(w);
    assert_int_equal(each_file(p->dir, "", false), 0);
}

static void every_flipped_bit_of_a_reference_is_noticed(void **state)
{
    struct place *p = *state;
    uint8_t ref[SNAPFILE_REF_SIZE], bad[SNAPFILE_REF_SIZE];
    struct snapfile_map map;
    write_one(p->dir, (const uint8_t *)"state", 5, ref);
    for (unsigned bit = 0; bit < 8 * SNAPFILE_REF_SIZE; bit++) {
        struct error err = {0};
        memcpy(bad, ref, sizeof bad);
        bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(snapfile_map(p->dir, bad, sizeof bad, &map, &err), ERR_CORRUPT);
    }
    struct error err = {0};
    assert_int_equal(snapfile_map(p->dir, ref, sizeof ref - 8, &map, &err), ERR_CORRUPT);
}

/* Even with a checksum that fits. */
static void a_reference_never_leads_out_of_its_directory(void **state)
{
    struct place *p = *state;
    uint8_t ref[SNAPFILE_REF_SIZE];
    struct snapfile_map map;
    struct error err = {0};
    write_one(p->dir, (const uint8_t *)"state", 5, ref);
    memset(ref + 24, 0, 32);
    memcpy(ref + 24, "state-/../../etc/passwd", 24);
    uint64_t sum = XXH3_64bits(ref, SNAPFILE_REF_SIZE - 8);
    memcpy(ref + SNAPFILE_REF_SIZE - 8, &sum, 8);
    assert_int_equal(snapfile_map(p->dir, ref, sizeof ref, &map, &err), ERR_CORRUPT);
}

static void a_file_that_is_missing_or_cut_is_corrupt(void **state)
{
    struct place *p = *state;
    uint8_t ref[SNAPFILE_REF_SIZE];
    char path[200];
    struct snapfile_map map;
    struct error err = {0};
    write_one(p->dir, (const uint8_t *)"0123456789", 10, ref);
    snprintf(path, sizeof path, "%s/%s.rvs", p->dir, (const char *)ref + 24);
    assert_int_equal(truncate(path, 9), 0);
    assert_int_equal(snapfile_map(p->dir, ref, sizeof ref, &map, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "9 bytes instead of 10"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(snapfile_map(p->dir, ref, sizeof ref, &map, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "missing"));
}

static void a_sweep_takes_what_no_snapshot_refers_to(void **state)
{
    struct place *p = *state;
    uint8_t kept[SNAPFILE_REF_SIZE], lost[SNAPFILE_REF_SIZE];
    char path[200];
    struct snapfile_map map;
    struct snapfile_writer *w;
    struct error err = {0};
    write_one(p->dir, (const uint8_t *)"kept", 4, kept);
    write_one(p->dir, (const uint8_t *)"lost", 4, lost);
    assert_int_equal(snapfile_create(p->dir, &w, &err), 0);
    snprintf(path, sizeof path, "%s/snapshot-1-100-12345", p->dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, kept, sizeof kept), sizeof kept);
    close(fd);
    snapfile_sweep(p->dir, false, NULL);
    assert_int_equal(each_file(p->dir, ".rvs", false), 1);
    assert_int_equal(each_file(p->dir, ".part", false), 1);
    assert_int_equal(snapfile_map(p->dir, kept, sizeof kept, &map, &err), 0);
    snapfile_unmap(&map);
    assert_int_equal(snapfile_map(p->dir, lost, sizeof lost, &map, &err), ERR_CORRUPT);
    snapfile_sweep(p->dir, true, NULL);
    assert_int_equal(each_file(p->dir, ".part", false), 0);
    snapfile_abort(w);
}

static void a_directory_that_is_none_is_an_error(void **state)
{
    (void)state;
    struct snapfile_writer *w;
    struct error err = {0};
    assert_int_not_equal(snapfile_create("/nonexistent/reeve", &w, &err), 0);
    assert_null(w);
    assert_non_null(strstr(err.message, "/nonexistent/reeve"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_found_by_its_reference),
        TEST(parts_in_any_order_make_the_same_file),
        TEST(an_aborted_file_leaves_nothing),
        TEST(every_flipped_bit_of_a_reference_is_noticed),
        TEST(a_reference_never_leads_out_of_its_directory),
        TEST(a_file_that_is_missing_or_cut_is_corrupt),
        TEST(a_sweep_takes_what_no_snapshot_refers_to),
        TEST(a_directory_that_is_none_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

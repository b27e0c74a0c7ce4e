#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/runtime/sealed.h"
#include "agent/util/fsutil.h"
#include "base/mem.h"

struct fixture {
    char top[64], program[128];
    struct sealed s;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    strcpy(f->top, "/tmp/reeve-sealed-XXXXXX");
    assert_non_null(mkdtemp(f->top));
    snprintf(f->program, sizeof f->program, "%s/program", f->top);
    sealed_init(&f->s, f->program);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sealed_close(&f->s);
    fs_remove_tree(f->top, NULL);
    free(f);
    return 0;
}

static void copy_program(struct fixture *f, const char *from)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(fs_read_file(from, 16u << 20, &b, NULL), 0);
    assert_int_equal(fs_write_file(f->program, buf_str(&b), 0755, false, NULL), 0);
}

static int run(const char *program)
{
    CLEANUP_FREE char *command = xasprintf("exec %s", program);
    return system(command);
}

static void a_copy_runs_and_nobody_can_write_to_it(void **state)
{
    struct fixture *f = *state;
    char first[128];
    copy_program(f, "/bin/true");
    snprintf(first, sizeof first, "%s", sealed_program(&f->s));
    assert_true(strncmp(first, "/proc/", 6) == 0);
    assert_int_equal(run(first), 0);
    assert_string_equal(sealed_program(&f->s), first); /* the same one again */
    assert_int_equal(chmod(first, 0777), 0);
    CLEANUP_CLOSE int fd = open(first, O_RDWR | O_CLOEXEC);
    assert_true(fd < 0 || write(fd, "x", 1) < 0);
    CLEANUP_CLOSE int seals = open(first, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fcntl(seals, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

static void another_program_at_the_path_is_copied_anew(void **state)
{
    struct fixture *f = *state;
    char first[128];
    copy_program(f, "/bin/true");
    snprintf(first, sizeof first, "%s", sealed_program(&f->s));
    copy_program(f, "/bin/false");
    const char *second = sealed_program(&f->s);
    assert_string_not_equal(second, first);
    assert_int_not_equal(run(second), 0);
    assert_int_equal(run(first), 0); /* who was told before may be about to run it */
    assert_int_equal(unlink(f->program), 0);
    assert_string_equal(sealed_program(&f->s), f->program); /* its absence is told by its name */
}

static void a_script_is_run_from_where_it_is(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fs_write_file(f->program, str_of("#!/bin/sh\nexit 0\n"), 0755, false, NULL), 0);
    assert_string_equal(sealed_program(&f->s), f->program);
    copy_program(f, "/bin/true");
    assert_string_not_equal(sealed_program(&f->s), f->program);
    assert_int_equal(fs_write_file(f->program, str_of("#!/bin/sh\nexit 0\n"), 0755, false, NULL), 0);
    assert_string_equal(sealed_program(&f->s), f->program);
}

/* There is room for that many descriptors more, and for no other. */
static struct rlimit leave_room_for(unsigned count)
{
    struct rlimit before, narrow;
    int fds[8], last = -1;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    narrow = before;
    for (unsigned i = 0; i <= count; i++) {
        last = fds[i] = dup(STDIN_FILENO);
    }
    for (unsigned i = 0; i <= count; i++) {
        close(fds[i]);
    }
    narrow.rlim_cur = (rlim_t)last;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &narrow), 0);
    return before;
}

static void a_copy_that_could_not_be_made_just_then_is_made_later(void **state)
{
    struct fixture *f = *state;
    char first[128];
    copy_program(f, "/bin/true");
    snprintf(first, sizeof first, "%s", sealed_program(&f->s));
    for (unsigned room = 0; room < 3; room++) {
        copy_program(f, "/bin/false");
        struct rlimit before = leave_room_for(room);
        const char *without = sealed_program(&f->s);
        bool binary = sealed_is_binary(&f->s);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_string_equal(without, f->program);
        assert_false(binary);
        assert_int_equal(room > 0 ? 0 : run(first), 0); /* who was told before may be about to run it */
        assert_string_not_equal(sealed_program(&f->s), f->program);
        assert_true(sealed_is_binary(&f->s));
        assert_int_not_equal(run(sealed_program(&f->s)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_copy_runs_and_nobody_can_write_to_it, setup, teardown),
        cmocka_unit_test_setup_teardown(another_program_at_the_path_is_copied_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_copy_that_could_not_be_made_just_then_is_made_later, setup, teardown),
        cmocka_unit_test_setup_teardown(a_script_is_run_from_where_it_is, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

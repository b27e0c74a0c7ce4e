/* Passphrases: from a file, and typed on a terminal that shows nothing of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/passphrase.h"

#define WAIT_MS 20000

/* ---- Files ---- */

static int from_file(const void *p, size_t n, bool fresh, struct buf *out, struct error *err)
{
    char path[] = "/tmp/reeve-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    close(fd);
    *err = (struct error){0};
    int rc = passphrase_read(path, "--passphrase-file", "Passphrase", fresh, 8, out, err);
    unlink(path);
    return rc;
}

static void the_first_line_of_a_file_counts(void **state)
{
    (void)state;
    struct error err;
    static const char *const texts[] = {"correct horse\n", "correct horse", "correct horse\r\nanother line\n"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP_BUF_WIPE struct buf out = BUF_INIT;
        assert_int_equal(from_file(texts[i], strlen(texts[i]), true, &out, &err), 0);
        assert_true(str_is(buf_str(&out), "correct horse"));
    }
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    struct error err;
    CLEANUP_BUF_WIPE struct buf out = BUF_INIT;
    char lots[PASSPHRASE_MAX + 2];
    memset(lots, 'x', sizeof lots);
    assert_int_equal(from_file("\nsecond line\n", 13, false, &out, &err), ERR_INVALID);
    assert_int_equal(from_file("", 0, false, &out, &err), ERR_INVALID);
    assert_int_equal(from_file("short\n", 6, true, &out, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "8 characters or more"));
    assert_null(strstr(err.message, "short\n"));
    buf_wipe(&out);
    assert_int_equal(from_file("short\n", 6, false, &out, &err), 0); /* an old one is what it is */
    buf_wipe(&out);
    assert_int_equal(from_file(lots, PASSPHRASE_MAX + 1, false, &out, &err), ERR_TOO_LARGE);
    buf_wipe(&out);
    assert_int_equal(from_file(lots, PASSPHRASE_MAX, false, &out, &err), 0);
    assert_int_equal(out.size, PASSPHRASE_MAX);
    buf_wipe(&out);
    assert_int_equal(passphrase_read("/nonexistent/file", "--x", "P", false, 0, &out, &err), ERR_NOT_FOUND);
}

/* ---- Terminal ---- */

struct typist {
    pid_t pid;
    int fd;
    char seen[4096];
    size_t size;
};

/* A process of its own, with a terminal of its own, that asks for a new passphrase and exits with what came of it. */
static void sit_down(struct typist *t, bool fresh)
{
    memset(t, 0, sizeof *t);
    t->pid = forkpty(&t->fd, NULL, NULL, NULL);
    assert_true(t->pid >= 0);
    if (t->pid == 0) {
        struct error err = {0};
        struct buf out = BUF_INIT;
        int rc = passphrase_read(NULL, "--passphrase-file", "Passphrase", fresh, 8, &out, &err);
        if (rc == 0 && str_is(buf_str(&out), "correct horse")) {
            _exit(0);
        }
        _exit(rc == ERR_INVALID ? 2 : rc == ERR_CANCELED ? 3 : 4);
    }
}

static bool look(struct typist *t)
{
    struct pollfd p = {.fd = t->fd, .events = POLLIN};
    if (poll(&p, 1, WAIT_MS) <= 0) {
        fail_msg("nothing on the terminal; so far: %s", t->seen);
    }
    ssize_t n = read(t->fd, t->seen + t->size, sizeof t->seen - 1 - t->size);
    t->size += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* Typed ahead it would be thrown away: waits until the prompt stands there for the n-th time. */
static void type_at(struct typist *t, const char *prompt, const char *text)
{
    while (strstr(t->seen, prompt) == NULL) {
        assert_true(look(t));
    }
    assert_int_equal(write(t->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static int get_up(struct typist *t)
{
    int status;
    while (look(t)) {
    }
    assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
    struct termios now;
    if (tcgetattr(t->fd, &now) == 0) {
        assert_true(now.c_lflag & ECHO);
    }
    close(t->fd);
    assert_null(strstr(t->seen, "correct"));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void a_terminal_is_asked_twice_and_shows_nothing(void **state)
{
    (void)state;
    struct typist t;
    sit_down(&t, true);
    type_at(&t, "Passphrase: ", "correct horse\n");
    type_at(&t, "once more: ", "correct horse\n");
    assert_int_equal(get_up(&t), 0);
    sit_down(&t, true);
    type_at(&t, "Passphrase: ", "correct horse\n");
    type_at(&t, "once more: ", "correct house\n");
    assert_int_equal(get_up(&t), 2);
    sit_down(&t, false); /* one that exists: once */
    type_at(&t, "Passphrase: ", "correct horse\n");
    assert_int_equal(get_up(&t), 0);
}

static void an_interrupt_gives_the_echo_back(void **state)
{
    (void)state;
    struct typist t;
    sit_down(&t, true);
    type_at(&t, "Passphrase: ", "corr\003");
    assert_int_equal(get_up(&t), 3);
}

static void without_a_terminal_a_file_is_asked_for(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        struct error err = {0};
        struct buf out = BUF_INIT;
        int rc = passphrase_read(NULL, "--passphrase-file", "Passphrase", true, 8, &out, &err);
        _exit(rc == ERR_USAGE && strstr(err.message, "--passphrase-file FILE") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_line_of_a_file_counts),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(a_terminal_is_asked_twice_and_shows_nothing),
        cmocka_unit_test(an_interrupt_gives_the_echo_back),
        cmocka_unit_test(without_a_terminal_a_file_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

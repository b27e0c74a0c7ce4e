/* Attaching to containers of crun: conmon's socket gives what is printed from now on, takes input, and ends with the
 * container. */
#include "tests/unit/agent_runtime_crun.h"

#include "agent/runtime/logfile.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define WAIT_MS 20000

static int attach(struct fixture *f)
{
    struct error err = {0};
    int fd = -1;
    if (runtime_attach(f->rt, f->id, &fd, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return fd;
}

/* Packets of `from` until the text has come; with NULL until the socket ends. What came is left in f->streamed. */
static void read_until(struct fixture *f, int fd, uint8_t from, const char *text)
{
    uint8_t packet[65536];
    while (text == NULL || strstr(buf_cstr(&f->streamed), text) == NULL) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, WAIT_MS) != 1) {
            fail_msg("\"%s\" did not come; there is: %s", text == NULL ? "the end" : text, buf_cstr(&f->streamed));
        }
        ssize_t n = recv(fd, packet, sizeof packet, 0);
        if (n <= 0) {
            assert_null(text);
            return;
        }
        assert_int_equal(packet[0], from);
        buf_append(&f->streamed, packet + 1, (size_t)n - 1);
    }
}

static void input_and_output_of_the_first_process_are_joined(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *cat[] = {"sh", "-c", "read word; echo got $word; cat >/dev/null; echo bye; exit 3", NULL};
    crun_spec(f, &s);
    s.stdin_open = s.stdin_once = true;
    start(f, &s, cat);
    int fd = attach(f);
    assert_int_equal(send(fd, "hello\n", 6, MSG_NOSIGNAL), 6);
    read_until(f, fd, 2, "got hello\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    read_until(f, fd, 2, "bye\n");
    read_until(f, fd, 2, NULL);
    close(fd);
    wait_for(f, &f->exits, 1);
    struct error err = {0};
    assert_int_equal(runtime_attach(f->rt, f->id, &fd, &err), ERR_USAGE);
    assert_int_equal(runtime_attach(f->rt, "nobody", &fd, &err), ERR_NOT_FOUND);
}

static void a_terminal_has_the_size_it_is_told(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *ask[] = {"sh", "-c", "while read x; do stty size; done", NULL};
    crun_spec(f, &s);
    s.tty = s.stdin_open = true;
    start(f, &s, ask);
    int fd = attach(f);
    runtime_attach_resize(f->rt, f->id, 44, 111);
    for (int tries = 0; tries < 3000 && strstr(buf_cstr(&f->streamed), "44 111") == NULL; tries++) {
        buf_reset(&f->streamed);
        assert_int_equal(send(fd, "\n", 1, MSG_NOSIGNAL), 1);
        read_until(f, fd, 2, " "); /* an answer, not the echo; the first ones may be too early */
    }
    assert_non_null(strstr(buf_cstr(&f->streamed), "44 111"));
    close(fd);
}

static void a_container_without_stdin_is_only_listened_to(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *talk[] = {"sh", "-c", "while :; do echo out; sleep 0.1; done", NULL};
    crun_spec(f, &s);
    start(f, &s, talk);
    int fd = attach(f);
    send(fd, "nobody reads this\n", 18, MSG_NOSIGNAL);
    read_until(f, fd, 2, "out\n");
    close(fd);
    fd = attach(f); /* leaving does not hurt it */
    buf_reset(&f->streamed);
    read_until(f, fd, 2, "out\n");
    close(fd);
}

/* Who reads the output from the log (agent/serve/attach.c) takes the socket's end for the log's. */
static void when_the_socket_ends_the_log_is_complete(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *talk[] = {"sh", "-c",
                          "read x; i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; printf end", NULL};
    crun_spec(f, &s);
    s.stdin_open = s.stdin_once = true;
    start(f, &s, talk);
    int fd = attach(f);
    assert_int_equal(send(fd, "go\n", 3, MSG_NOSIGNAL), 3);
    read_until(f, fd, 2, NULL);
    close(fd);
    struct stat st;
    assert_int_equal(stat(s.log_path, &st), 0);
    CLEANUP_FREE char *log = xcalloc(1, (size_t)st.st_size + 1);
    CLEANUP_CLOSE int file = open(s.log_path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(file, log, (size_t)st.st_size), st.st_size);
    CLEANUP_BUF struct buf all = BUF_INIT;
    CLEANUP_BUF struct buf wanted = BUF_INIT;
    for (char *at = log, *end; (end = strchr(at, '\n')) != NULL;
         at = end + 1) { /* conmon cuts lines as it reads them */
        struct logfile_line l;
        assert_true(logfile_parse((struct str){at, (size_t)(end - at)}, &l));
        buf_append(&all, l.text.p, l.text.n);
        buf_append(&all, "\n", !l.partial);
    }
    for (unsigned i = 0; i < 3000; i++) {
        buf_printf(&wanted, "line %u\n", i);
    }
    buf_printf(&wanted, "end");
    assert_string_equal(buf_cstr(&all), buf_cstr(&wanted));
}

int main(void)
{
    have_crun = enter_private_mounts();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(input_and_output_of_the_first_process_are_joined, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(when_the_socket_ends_the_log_is_complete, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_terminal_has_the_size_it_is_told, crun_setup, crun_teardown),
        cmocka_unit_test_setup_teardown(a_container_without_stdin_is_only_listened_to, crun_setup, crun_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"

/* One line, byte by byte: what follows it is somebody else's. The end of the line is not part of it. waiting: the
 * signals' mask while it waits for input, so that one that came just before ends it, too; NULL: as it is. */
static int read_line(int fd, const char *what, const sigset_t *waiting, struct buf *out, struct error *err)
{
    buf_reserve(out, PASSPHRASE_MAX + 1); /* at once: no copies are left behind in memory */
    for (;;) {
        char c;
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t n = waiting != NULL && ppoll(&ready, 1, NULL, waiting) < 0 ? -1 : read(fd, &c, 1);
        if (n < 0) {
            return errno == EINTR ? error_set(err, ERR_CANCELED, "interrupted")
                                  : error_set_errno(err, errno, "read the passphrase from %s", what);
        }
        if (n == 0 || c == '\n') {
            break;
        }
        if (out->size == PASSPHRASE_MAX) {
            return error_set(err, ERR_TOO_LARGE, "the passphrase in %s is longer than %u bytes", what, PASSPHRASE_MAX);
        }
        buf_putc(out, c);
    }
    if (out->size > 0 && out->data[out->size - 1] == '\r') {
        out->size--;
    }
    return out->size > 0 ? 0 : error_set(err, ERR_INVALID, "the passphrase in %s is empty", what);
}

static int from_file(const char *file, struct buf *out, struct error *err)
{
    if (strcmp(file, "-") == 0) {
        return read_line(STDIN_FILENO, "standard input", NULL, out, err);
    }
    CLEANUP_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? error_set_errno(err, errno, "read the passphrase from %s", file)
                  : read_line(fd, file, NULL, out, err);
}

/* ---- The terminal ---- */

static void on_signal(int signum)
{
    (void)signum; /* only ends the read, so that the echo comes back first */
}

static int ask(int tty, const char *prompt, struct buf *out, struct error *err)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    struct sigaction former[ARRAY_SIZE(signals)], quiet = {.sa_handler = on_signal};
    struct termios echo, silent;
    sigset_t held, before;
    if (tcgetattr(tty, &echo) != 0) {
        return error_set_errno(err, errno, "the terminal");
    }
    sigemptyset(&held);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        sigaddset(&held, signals[i]);
    }
    sigprocmask(SIG_BLOCK, &held, &before); /* so that none is lost to the handler while nobody waits */
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        sigaction(signals[i], &quiet, &former[i]);
    }
    silent = echo;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    tcsetattr(tty, TCSAFLUSH, &silent);
    dprintf(tty, "%s: ", prompt);
    int rc = read_line(tty, "the terminal", &before, out, err);
    tcsetattr(tty, TCSAFLUSH, &echo);
    dprintf(tty, "\n");
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        sigaction(signals[i], &former[i], NULL);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static int from_terminal(const char *option, const char *prompt, bool fresh, struct buf *out, struct error *err)
{
    CLEANUP_CLOSE int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0) {
        return error_set(err, ERR_USAGE,
                         "there is no terminal to ask for the passphrase on; name a file that holds it: %s FILE",
                         option);
    }
    int rc = ask(tty, prompt, out, err);
    if (rc == 0 && fresh) {
        CLEANUP_BUF_WIPE struct buf again = BUF_INIT;
        rc = ask(tty, "once more", &again, err);
        if (rc == 0 && (again.size != out->size || memcmp(again.data, out->data, out->size) != 0)) {
            rc = error_set(err, ERR_INVALID, "the passphrases differ; nothing was done");
        }
    }
    return rc;
}

int passphrase_read(const char *file, const char *option, const char *prompt, bool fresh, unsigned min, struct buf *out,
                    struct error *err)
{
    int rc = file != NULL ? from_file(file, out, err) : from_terminal(option, prompt, fresh, out, err);
    if (rc == 0 && fresh && out->size < min) {
        rc = error_set(err, ERR_INVALID, "the passphrase is too short: %u characters or more", min);
    }
    return rc;
}

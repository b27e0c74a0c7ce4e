/* The container's own input and output: conmon keeps a socket "attach" in the bundle for them (packets; from the
 * container: a byte 2 or 3 for stdout or stderr, then bytes; a half close of ours ends its input) and takes the
 * terminal's size through the fifo "ctl". */
#include "agent/runtime/crun_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int crun_attach(struct runtime *base, const char *id, int *fd, struct error *err)
{
    struct crun *rt = (struct crun *)base;
    struct crun_container *c = crun_find(rt, id);
    if (c == NULL || c->leftover) {
        return error_set(err, ERR_NOT_FOUND, "there is no container %s", id);
    }
    if (c->state != RUNTIME_RUNNING || c->removing || rt->closing) {
        return error_set(err, ERR_USAGE, "container not running: %s", c->name);
    }
    /* The path may be longer than an address holds, so the directory is named by its descriptor. */
    CLEANUP_CLOSE int dir = open(c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSE int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "/proc/self/fd/%d/attach", dir);
    if (dir < 0 || s < 0 || connect(s, (struct sockaddr *)&sa, sizeof sa) != 0) {
        return error_set_errno(err, errno, "attach to container %s", c->name);
    }
    *fd = TAKE_FD(s);
    return 0;
}

void crun_attach_resize(struct runtime *base, const char *id, unsigned rows, unsigned columns)
{
    struct crun_container *c = crun_find((struct crun *)base, id);
    char path[FS_PATH_MAX], line[64];
    if (c == NULL) {
        return;
    }
    fs_path(path, sizeof path, "%s/ctl", c->dir);
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    int n = snprintf(line, sizeof line, "1 %u %u\n", rows, columns); /* conmon: WIN_RESIZE_EVENT */
    if (fd < 0 || write(fd, line, (size_t)n) != n) {
        log_warn(c->rt->log, "runtime", "container %s: cannot tell conmon the terminal's size", c->id);
    }
}

#include "proto/net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int no_room(int error, struct error *err)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (error == EMFILE) {
        return error_set(err, ERR_LIMIT,
                         "this process has hardly any file descriptors left of the %llu that it may have: raise the "
                         "limit (`ulimit -n`, or LimitNOFILE= of its systemd unit), or start it with fewer open files",
                         (unsigned long long)limit.rlim_cur);
    }
    return error_set(err, ERR_LIMIT, "no file descriptors are left: %s", strerror(error));
}

int net_loop_room(struct error *err)
{
    int fds[NET_LOOP_DESCRIPTORS], error = 0;
    unsigned n = 0;
    while (n < NET_LOOP_DESCRIPTORS && error == 0) {
        fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        error = fds[n] < 0 ? errno : 0;
        n += error == 0;
    }
    while (n > 0) {
        close(fds[--n]);
    }
    return error == 0 ? 0 : no_room(error, err);
}

int net_loop_init(uv_loop_t *loop, struct error *err)
{
    int rv = net_loop_room(err);
    if (rv == 0) {
        rv = uv_loop_init(loop);
        rv = rv == 0 ? 0 : no_room(-rv, err);
    }
    return rv;
}

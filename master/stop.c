#include "master/stop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/env.h"

int stop_watch(struct stop *s, struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->fd >= 0 ? 0 : error_set_errno(err, errno, "watch for SIGTERM and SIGINT");
}

bool stop_wait(const struct stop *s, int64_t ms)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    int64_t until = env_now_ms(env_real()) + ms, left = ms;
    do { /* other signals may wake it early */
        if (poll(&p, 1, (int)left) > 0) {
            return true;
        }
        left = until - env_now_ms(env_real());
    } while (left > 0);
    return false;
}

bool stop_asked(const struct stop *s)
{
    return stop_wait(s, 0);
}

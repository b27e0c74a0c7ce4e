#include "base/file_lock.h"

#include <errno.h>
#include <sys/file.h>
#include <time.h>

#include "base/env.h"

#define LOOK_MS 50

bool file_lock(int fd)
{
    const struct timespec look = {.tv_nsec = LOOK_MS * 1000000L};
    for (int64_t until = env_now_ms(env_real()) + FILE_LOCK_WAIT_MS; flock(fd, LOCK_EX | LOCK_NB) != 0;) {
        if (errno != EWOULDBLOCK) {
            break;
        }
        if (env_now_ms(env_real()) >= until) {
            return false;
        }
        nanosleep(&look, NULL);
    }
    return true;
}

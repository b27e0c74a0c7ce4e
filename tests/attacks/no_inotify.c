/* Preloaded into an agent: as if a pod had taken all of inotify, which would really take it from everybody on this
 * machine. */
#include <errno.h>

int inotify_init1(int flags);
int inotify_init1(int flags)
{
    (void)flags;
    errno = EMFILE;
    return -1;
}

/* A program that is run often and from where it must not be written to, as a copy in memory that nobody can change.
 *
 * An OCI runtime is the program of a container's process until that begins, which could write to it by way of
 * /proc/self/exe (CVE-2019-5736). So crun, each time that it is run, mounts itself read-only and runs itself once more
 * from there, unless it finds that it is a sealed memfd: then it goes on at once. One is made here, once for all.
 *
 * Sources: memfd_create(2), fcntl(2) F_ADD_SEALS. Loop thread only. */
#ifndef AGENT_RUNTIME_SEALED_H
#define AGENT_RUNTIME_SEALED_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

struct sealed {
    char *path;   /* of the program on the disk */
    char run[64]; /* of the copy; "" = there is none, and path is run */
    int fd, former;
    dev_t device; /* of the file that was copied, with the rest */
    ino_t inode;
    off_t size;
    struct timespec changed;
};
/* path is copied. Nothing is read yet. */
void sealed_init(struct sealed *s, const char *path);
void sealed_close(struct sealed *s);
/* What to run now: a copy, made anew when the file on the disk is another one than before, or, where there can be none
 * (no memfd, a script), the path itself. Also other processes find it there as long as this one lives and the program
 * has not changed twice. Borrowed until the next call. Blocking, short. */
const char *sealed_program(struct sealed *s);
/* Was there a copy to run at the last call of sealed_program? Then the program is the one that it is said to be, and no
 * script that does something else besides. */
static inline bool sealed_is_binary(const struct sealed *s)
{
    return s->run[0] != '\0';
}

#endif

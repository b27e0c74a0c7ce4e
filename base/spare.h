/* Descriptors that are kept for the disk: when a process has no more, what must be opened to go on is opened with one
 * of these.
 *
 * A master that cannot open the next segment of its log, or the file of its term, has to stop; one that cannot take
 * another connection only has to say so. So spare_keep holds some descriptors, and the functions below give one up when
 * the kernel says EMFILE (the process's limit) or ENFILE (the machine's), and try again. Nobody who opens sockets
 * uses them. Any thread. The state is the process's, as the limit is. */
#ifndef BASE_SPARE_H
#define BASE_SPARE_H

#include <dirent.h>
#include <stdbool.h>
#include <sys/types.h>

#define SPARE_MAX 32u

/* From now on this many are kept, as far as they are to be had (0: none, those kept are closed). Call it again from
 * time to time: it replaces those that were given up. Returns how many there are. */
unsigned spare_keep(unsigned wanted);
/* error is EMFILE or ENFILE, and one was given up: try again. errno is untouched. */
bool spare_give(int error);

/* As open(2), openat(2), opendir(3). */
int spare_open(const char *path, int flags, mode_t mode);
int spare_openat(int dir, const char *path, int flags, mode_t mode);
DIR *spare_opendir(const char *path);
/* As mkostemp(3); template ends with XXXXXX. */
int spare_mkostemp(char *template, int flags);

#endif

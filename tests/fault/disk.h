/* Where a master's data lies: a plain directory, or a file system of its own on a loop device, which can be filled, cut
 * off and damaged. Mounts are made in the mount namespace of the cell, so they and their devices go with its
 * processes. */
#ifndef TESTS_FAULT_DISK_H
#define TESTS_FAULT_DISK_H

#include <stdbool.h>
#include <stdint.h>

enum disk_type { DISK_PLAIN, DISK_OWN };
struct disk {
    enum disk_type type;
    char dir[600], image[600];
    bool mounted;
};
/* Makes dir; DISK_OWN: with an ext4 of 384 MB in it. */
void disk_open(struct disk *d, enum disk_type type, const char *dir);
void disk_close(struct disk *d);
/* DISK_OWN only. The file system stops at once, as when the power goes: what was not synced is lost. Then: kill who
 * uses it, restore. */
void disk_cut(struct disk *d);
void disk_restore(struct disk *d); /* mounted again; the journal is replayed */
/* Takes all free space but for leave_bytes. */
void disk_fill(struct disk *d, int64_t leave_bytes);
void disk_free_space(struct disk *d);
/* The device's writes go no faster than bytes/s and operations/s; 0 = as fast as it can. False: this machine cannot. */
bool disk_throttle(struct disk *d, int64_t bytes, int64_t operations);

#endif

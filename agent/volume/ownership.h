/* fsGroup: a volume is given to a group. Blocking: as long as the volume has files. Source: Kubernetes' fsGroup and
 * fsGroupChangePolicy (core/v1 PodSecurityContext). */
#ifndef AGENT_VOLUME_OWNERSHIP_H
#define AGENT_VOLUME_OWNERSHIP_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define OWNERSHIP_DEPTH_MAX 256u /* directories in one another */

/* Gives the directory fd and all below it to gid: files may be read and written by the group, directories entered, and
 * what is made in them is the group's as well. Links are not followed, and no other file system is entered.
 * on_mismatch: nothing is done if the directory itself is as it would become. ERR_CANCELED as soon as cancel is set. */
int ownership_give(int fd, int64_t gid, bool on_mismatch, atomic_bool *cancel, struct error *err);

#endif

/* What a node does about its images by itself: it deletes unused ones when the disk fills up, and tells how far pulls
 * are. */
#ifndef AGENT_IMAGES_H
#define AGENT_IMAGES_H

#include "agent/agent_int.h"

#define IMAGES_TOLD_MS      300000 /* between two events that say that deleting images is not enough; as the kubelet */
#define IMAGES_STEP_PERCENT 5      /* of a pull, before its figure is told again */

/* Every AGENT_CHECK_MS. */
void images_check(struct agent *a);
/* The disk is nearly full: before a pod goes all unused images of registries go. False: there is none left. */
bool images_relieve(struct agent *a);
/* What images_check does for a disk of that size; images_check and tests. */
void images_collect(struct agent *a, uint64_t disk_bytes, uint64_t free_bytes);

#endif

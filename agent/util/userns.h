/* User namespaces of pods: root of a pod is nobody on the node.
 *
 * In a pod's namespace the numbers 0 to 65,535 are those from `first` on of the node, which no other pod has. Its
 * network, IPC and UTS namespaces belong to it, so its root may do there what root may. Files keep the numbers that
 * they have on the disk: layers of images and volumes are mounted once more with numbers shifted by the kernel
 * ("idmapped": mount_setattr(2)), and only what a container writes into its own root file system has the shifted
 * numbers on the disk.
 *
 * Needs Linux 5.19 (overlayfs over such mounts; for Secrets and emptyDir in memory 6.3) and file systems that can do
 * it. Source: Kubernetes' KEP-127; user_namespaces(7), mount_setattr(2). Blocking, short. */
#ifndef AGENT_UTIL_USERNS_H
#define AGENT_UTIL_USERNS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define USERNS_IDS 65536u /* of a pod, as Kubernetes has it */

/* Makes the namespace and binds it to a new file. The calling thread is moved into new namespaces of the kinds in flags
 * (CLONE_NEWNET, CLONE_NEWUTS, CLONE_NEWIPC) that belong to it; it keeps the node's user namespace. */
int userns_make(uint32_t first, int flags, const char *file, struct error *err);

/* Mounts source, a directory or file, on target, which is there, with numbers shifted as in the namespace of the
 * descriptor. recursive: with all that is mounted below. ERR_UNSUPPORTED: the kernel or the file system cannot. */
int userns_mount(int userns_fd, const char *source, const char *target, bool recursive, struct error *err);

/* Can this node do it? disk_dir: the agent's directory, where images and containers lie, run_dir: a tmpfs; both
 * absolute. What is tried leaves nothing behind. ERR_UNSUPPORTED says what is missing. */
int userns_probe(const char *disk_dir, const char *run_dir, uint32_t first, struct error *err);

#endif

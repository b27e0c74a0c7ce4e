/* Seccomp filters of containers, in the shape of OCI's linux.seccomp: our own profile, and profiles of the node for
 * type Localhost.
 *
 * Our own is a list of what is allowed. It is Kubernetes' RuntimeDefault, and what a container gets that says nothing.
 * What it keeps out, and why, stands in runtime/seccomp_default.c. Pure. */
#ifndef AGENT_RUNTIME_SECCOMP_H
#define AGENT_RUNTIME_SECCOMP_H

#include "base/err.h"
#include "base/str.h"
#include "proto/model/value.h"

#define SECCOMP_PROFILE_MAX (1u << 20)

/* Our profile for a container with these capabilities ("CAP_X"). Never NULL. */
struct value *seccomp_default(struct arena *a, const char *const *caps, unsigned caps_count);

/* A profile of the node. Form: OCI's, or that of Docker and containers-common, which has conditions ("includes",
 * "excludes": by architecture, capability, kernel version) and a map of architectures: the conditions are decided here.
 * NULL and ERR_INVALID for what is no profile: no or an unknown action, rules without names. Names of system calls that
 * the node does not know are not looked at. */
struct value *seccomp_profile(struct arena *a, struct str profile, const char *const *caps, unsigned caps_count,
                              struct error *err);

#endif

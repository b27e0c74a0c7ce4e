/* OCI runtime configuration (config.json) out of a runtime_spec: pure but for reading the agent's own capabilities and,
 * for privileged containers, the node's devices. Sources: OCI runtime-spec 1.0; defaults (capabilities, masked
 * paths, mounts) as Docker and containerd have them. */
#ifndef AGENT_RUNTIME_OCI_H
#define AGENT_RUNTIME_OCI_H

#include "agent/runtime/filters.h"
#include "agent/runtime/runtime.h"
#include "base/buf.h"
#include "proto/model/value.h"

#define OCI_GROUPS_MAX 64u

/* Who runs the program, after /etc/passwd and /etc/group of the image were asked. */
struct oci_user {
    uint32_t uid, gid;
    uint32_t groups[OCI_GROUPS_MAX];
    unsigned groups_count;
    char home[256];
};
/* user: "", "1000", "www-data", "1000:33", "www-data:adm". passwd and group: content of the files ("" if absent).
 * run_as_* and supplemental groups of the security context win. ERR_INVALID names an unknown user; ERR_FORBIDDEN for
 * uid 0 with runAsNonRoot. */
int oci_user_resolve(const char *user, struct str passwd, struct str group, const struct runtime_security *security,
                     struct oci_user *out, struct error *err);

/* Kubernetes' table of command and args over ENTRYPOINT and CMD. NULL-terminated list of borrowed strings, to be freed
 * with free(). Empty (first is NULL): nothing to run. */
const char **oci_args(const struct runtime_spec *spec);

struct oci_input {
    const struct runtime_spec *spec;
    const char *const *args;
    const struct oci_user *user;
    const char *rootfs;
    const char *cgroups_path;    /* parent/ID */
    const char *termination_log; /* file on the node */
    bool cgroup_v2;
    bool seccomp;                  /* a filter of system calls: our own, or this profile (runtime/seccomp.h) */
    struct str seccomp_profile;    /* empty = our own */
    const struct filters *filters; /* translated profiles; NULL = none */
    struct buf *profile_used;      /* out: the text of the profile, if it has to be translated; NULL = nobody asks */
};
int oci_config_write(const struct oci_input *in, struct buf *out, struct error *err);

/* ERR_INVALID: a name under add or drop that is no capability; ERR_FORBIDDEN: one is to be added by name that the agent
 * itself may not have. Either way the container would have other rights than it says. */
int oci_check_capabilities(const struct runtime_security *s, struct error *err);
/* The list of capabilities after add and drop, sorted by number, as names; borrowed static strings. Exposed for
 * tests. */
unsigned oci_capabilities(const struct runtime_security *s, const char *out[64]);
#endif

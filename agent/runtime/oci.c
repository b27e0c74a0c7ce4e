#include "agent/runtime/oci.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/runtime/seccomp.h"
#include "agent/util/fsutil.h"
#include "agent/util/userns.h"
#include "proto/text/text.h"

/* ---- Capabilities ---- */

/* By number: linux/capability.h. */
static const char *const capability_names[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};
/* As containerd and Docker have it, less NET_RAW (packets under any name; ping needs it no more, see sandbox.c) and
 * MKNOD (device nodes). AUDIT_WRITE and SYS_CHROOT stay, since programs that log people in end without the first and
 * many daemons shut themselves in by the second. */
static const char *const capability_defaults[] = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",     "CAP_SETGID", "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",   "CAP_AUDIT_WRITE",
};

#define CAPABILITY_ALL (~0ull)

/* Bit set of what name stands for; 0 for unknown names. */
static uint64_t capability_bits(const char *name)
{
    if (strcasecmp(name, "ALL") == 0 || strcasecmp(name, "CAP_ALL") == 0) {
        return CAPABILITY_ALL;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(capability_names); i++) {
        if (strcasecmp(capability_names[i], name) == 0 || strcasecmp(capability_names[i] + 4, name) == 0) {
            return 1ull << i;
        }
    }
    return 0;
}

static int check_names(const char *const *list, const char *what, struct error *err)
{
    for (; list != NULL && *list != NULL; list++) {
        if (capability_bits(*list) == 0) {
            return error_set(err, ERR_INVALID, "securityContext.capabilities.%s: unknown capability \"%.64s\"", what,
                             *list);
        }
    }
    return 0;
}

int oci_check_capabilities(const struct runtime_security *s, struct error *err)
{
    int rc = check_names(s->capabilities_add, "add", err);
    rc = rc != 0 ? rc : check_names(s->capabilities_drop, "drop", err);
    for (const char *const *c = s->capabilities_add; rc == 0 && c != NULL && *c != NULL; c++) {
        uint64_t bits = capability_bits(*c);
        for (unsigned i = 0; i < ARRAY_SIZE(capability_names) && bits != CAPABILITY_ALL; i++) {
            if ((bits & (1ull << i)) != 0 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 1) {
                return error_set(err, ERR_FORBIDDEN,
                                 "securityContext.capabilities.add: the agent of this node may not have %s itself",
                                 capability_names[i]);
            }
        }
    }
    return rc;
}

unsigned oci_capabilities(const struct runtime_security *s, const char *out[64])
{
    uint64_t bits = 0;
    unsigned n = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(capability_defaults); i++) {
        bits |= capability_bits(capability_defaults[i]);
    }
    if (s->privileged) {
        bits = CAPABILITY_ALL;
    }
    uint64_t add = 0, drop = 0;
    for (const char *const *c = s->capabilities_add; c != NULL && *c != NULL; c++) {
        add |= capability_bits(*c);
    }
    for (const char *const *c = s->capabilities_drop; c != NULL && *c != NULL; c++) {
        drop |= capability_bits(*c);
    }
    /* "drop ALL, add X" leaves X; "add ALL, drop X" leaves all but X. */
    bits = drop == CAPABILITY_ALL ? add : (bits | add) & ~drop;
    for (unsigned i = 0; i < ARRAY_SIZE(capability_names); i++) {
        /* What the agent itself may not have cannot be given: the runtime would refuse the container. */
        if ((bits & (1ull << i)) != 0 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) {
            out[n++] = capability_names[i];
        }
    }
    return n;
}

/* ---- User ---- */

/* Field number `field` (from 0) of a colon separated line. */
static struct str field_of(struct str line, unsigned field)
{
    for (; field > 0; field--) {
        const char *colon = line.n == 0 ? NULL : memchr(line.p, ':', line.n);
        if (colon == NULL) {
            return STR_NONE;
        }
        line.n -= (size_t)(colon + 1 - line.p);
        line.p = colon + 1;
    }
    const char *end = line.n == 0 ? NULL : memchr(line.p, ':', line.n);
    return (struct str){line.p, end == NULL ? line.n : (size_t)(end - line.p)};
}

static bool next_line(struct str *rest, struct str *line)
{
    if (rest->n == 0) {
        return false;
    }
    const char *nl = memchr(rest->p, '\n', rest->n);
    size_t n = nl == NULL ? rest->n : (size_t)(nl - rest->p);
    *line = (struct str){rest->p, n};
    n += nl != NULL;
    *rest = (struct str){rest->p + n, rest->n - n};
    return true;
}

static bool to_id(struct str s, uint32_t *out)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > 10) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = (uint32_t)v;
    return v < UINT32_MAX;
}

/* The line of a passwd or group file with that name, or with that number in field 2. */
static bool find_entry(struct str file, struct str name, bool by_id, struct str *found)
{
    struct str line;
    while (next_line(&file, &line)) {
        if (str_eq(field_of(line, by_id ? 2 : 0), name)) {
            *found = line;
            return true;
        }
    }
    return false;
}

static void add_group(struct oci_user *u, uint32_t gid)
{
    for (unsigned i = 0; i < u->groups_count; i++) {
        if (u->groups[i] == gid) {
            return;
        }
    }
    if (u->groups_count < OCI_GROUPS_MAX) {
        u->groups[u->groups_count++] = gid;
    }
}

static void add_memberships(struct oci_user *u, struct str group, struct str user_name)
{
    struct str line;
    while (user_name.n > 0 && next_line(&group, &line)) {
        struct str members = field_of(line, 3);
        uint32_t gid;
        while (members.n > 0) {
            const char *comma = memchr(members.p, ',', members.n);
            size_t n = comma == NULL ? members.n : (size_t)(comma - members.p);
            if (str_eq((struct str){members.p, n}, user_name) && to_id(field_of(line, 2), &gid)) {
                add_group(u, gid);
            }
            n += comma != NULL;
            members = (struct str){members.p + n, members.n - n};
        }
    }
}

int oci_user_resolve(const char *user, struct str passwd, struct str group, const struct runtime_security *security,
                     struct oci_user *out, struct error *err)
{
    struct str name = field_of(str_of(user), 0), group_name = field_of(str_of(user), 1), entry = STR_NONE;
    char number[16];
    bool known;
    memset(out, 0, sizeof *out);
    if (security->run_as_user >= 0) {
        snprintf(number, sizeof number, "%u", (uint32_t)security->run_as_user);
        name = str_of(number);
        group_name = STR_NONE;
    }
    if (name.n == 0) {
        name = STR("0");
    }
    if (to_id(name, &out->uid)) {
        known = find_entry(passwd, name, true, &entry);
    } else if ((known = find_entry(passwd, name, false, &entry)) && to_id(field_of(entry, 2), &out->uid)) {
    } else {
        return error_set(err, ERR_INVALID, "the image's user \"%.*s\" is not in its /etc/passwd", STR_ARG(name));
    }
    if (known) {
        struct str home = field_of(entry, 5);
        to_id(field_of(entry, 3), &out->gid);
        snprintf(out->home, sizeof out->home, "%.*s", STR_ARG(home));
        if (!security->strict_groups) {
            add_memberships(out, group, field_of(entry, 0));
        }
    }
    if (group_name.n > 0 && !to_id(group_name, &out->gid)) {
        if (!find_entry(group, group_name, false, &entry) || !to_id(field_of(entry, 2), &out->gid)) {
            return error_set(err, ERR_INVALID, "the image's group \"%.*s\" is not in its /etc/group",
                             STR_ARG(group_name));
        }
    }
    if (security->run_as_group >= 0) {
        out->gid = (uint32_t)security->run_as_group;
    }
    for (unsigned i = 0; i < security->supplemental_groups_count; i++) {
        add_group(out, (uint32_t)security->supplemental_groups[i]);
    }
    if (security->run_as_non_root && out->uid == 0) {
        return error_set(err, ERR_FORBIDDEN,
                         security->run_as_user == 0 ? "container's runAsUser breaks non-root policy"
                                                    : "container has runAsNonRoot and image will run as root");
    }
    return 0;
}

/* ---- Arguments ---- */

static unsigned list_count(const char *const *list)
{
    unsigned n = 0;
    while (list != NULL && list[n] != NULL) {
        n++;
    }
    return n;
}

const char **oci_args(const struct runtime_spec *spec)
{
    const char *const *head = spec->command, *const *tail = spec->args;
    if (list_count(head) == 0) {
        head = spec->image->entrypoint;
        tail = list_count(tail) == 0 ? spec->image->cmd : tail;
    }
    unsigned n = list_count(head), m = list_count(tail);
    const char **out = xcalloc(n + m + 1, sizeof *out);
    for (unsigned i = 0; i < n + m; i++) {
        out[i] = i < n ? head[i] : tail[i - n];
    }
    return out;
}

/* ---- The document ---- */

struct oci {
    const struct oci_input *in;
    struct arena *a;
    const char *caps[64];
    unsigned caps_count;
    struct value *seccomp; /* the filter, or NULL */
};

static void set_str(struct oci *o, struct value *map, const char *key, const char *s)
{
    value_set(o->a, map, key, value_cstr(o->a, s));
}

static struct value *strings(struct oci *o, const char *const *list, unsigned count)
{
    struct value *v = value_list(o->a);
    for (unsigned i = 0; i < count; i++) {
        value_append(o->a, v, value_cstr(o->a, list[i]));
    }
    return v;
}

static bool has_variable(const char *const *list, const char *pair)
{
    size_t n = strcspn(pair, "=");
    for (; list != NULL && *list != NULL; list++) {
        if (strncmp(*list, pair, n) == 0 && (*list)[n] == '=') {
            return true;
        }
    }
    return false;
}

/* Image's variables, then ours where the image has none, then the spec's, which win. */
static struct value *environment(struct oci *o)
{
    const struct runtime_spec *s = o->in->spec;
    struct value *env = value_list(o->a);
    char home[300], host[SANDBOX_UTS_MAX + 16], uts[SANDBOX_UTS_MAX] = "";
    snprintf(home, sizeof home, "HOME=%s", o->in->user->home[0] != '\0' ? o->in->user->home : "/");
    if (s->sandbox != NULL) {
        sandbox_uts_name(s->sandbox, uts);
    }
    snprintf(host, sizeof host, "HOSTNAME=%s", uts);
    const char *ours[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", host, home,
                          s->tty ? "TERM=xterm" : NULL};
    for (unsigned i = 0; i < ARRAY_SIZE(ours); i++) {
        if (ours[i] != NULL && !has_variable(s->image->env, ours[i]) && !has_variable(s->env, ours[i])) {
            value_append(o->a, env, value_cstr(o->a, ours[i]));
        }
    }
    for (const char *const *e = s->image->env; e != NULL && *e != NULL; e++) {
        if (!has_variable(s->env, *e)) {
            value_append(o->a, env, value_cstr(o->a, *e));
        }
    }
    for (const char *const *e = s->env; e != NULL && *e != NULL; e++) {
        value_append(o->a, env, value_cstr(o->a, *e));
    }
    return env;
}

/* What the kernel counts by user: root of all pods without user namespaces is one user, and the node's root as well.
 * Half of what the agent may is left to that. */
static struct value *user_limits(struct oci *o)
{
    static const struct {
        const char *name;
        int resource;
    } kinds[] = {{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING}};
    struct value *list = value_list(o->a);
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct rlimit l;
        if (getrlimit((__rlimit_resource_t)kinds[i].resource, &l) != 0 || l.rlim_cur == RLIM_INFINITY) {
            continue;
        }
        struct value *v = value_map(o->a);
        set_str(o, v, "type", kinds[i].name);
        value_set(o->a, v, "soft", value_int(o->a, (int64_t)(l.rlim_cur / 2)));
        value_set(o->a, v, "hard", value_int(o->a, (int64_t)(l.rlim_cur / 2)));
        value_append(o->a, list, v);
    }
    return list;
}

static struct value *process(struct oci *o)
{
    const struct runtime_spec *s = o->in->spec;
    struct arena *a = o->a;
    struct value *p = value_map(a), *user = value_map(a), *caps = value_map(a), *groups = value_list(a);
    value_set(a, p, "terminal", value_bool(a, s->tty));
    value_set(a, user, "uid", value_int(a, o->in->user->uid));
    value_set(a, user, "gid", value_int(a, o->in->user->gid));
    for (unsigned i = 0; i < o->in->user->groups_count; i++) {
        value_append(a, groups, value_int(a, o->in->user->groups[i]));
    }
    value_set(a, user, "additionalGids", groups);
    value_set(a, p, "user", user);
    value_set(a, p, "args", strings(o, o->in->args, list_count(o->in->args)));
    value_set(a, p, "env", environment(o));
    set_str(o, p, "cwd", s->cwd != NULL && s->cwd[0] != '\0' ? s->cwd : s->image->cwd[0] != '\0' ? s->image->cwd : "/");
    struct value *list = strings(o, o->caps, o->caps_count), *empty = value_list(a);
    bool root = o->in->user->uid == 0;
    value_set(a, caps, "bounding", list);
    /* As execve(2) would leave it: another user than root holds none until it runs a program that brings them. */
    value_set(a, caps, "effective", root ? list : empty);
    value_set(a, caps, "permitted", root ? list : empty);
    value_set(a, p, "capabilities", caps);
    value_set(a, p, "noNewPrivileges", value_bool(a, s->security.no_new_privileges && !s->security.privileged));
    if (!s->security.privileged) {
        value_set(a, p, "rlimits", user_limits(o));
    }
    if (s->resources.oom_score_adj > 0) {
        value_set(a, p, "oomScoreAdj", value_int(a, s->resources.oom_score_adj));
    }
    return p;
}

/* Is something of the user mounted at that place? Then ours stays away. */
static bool user_mounts(const struct runtime_spec *s, const char *target)
{
    for (unsigned i = 0; i < s->mounts_count; i++) {
        size_t n = strlen(s->mounts[i].target);
        while (n > 1 && s->mounts[i].target[n - 1] == '/') {
            n--;
        }
        if (strlen(target) == n && strncmp(target, s->mounts[i].target, n) == 0) {
            return true;
        }
    }
    return false;
}

/* options: comma separated. */
static void add_mount(struct oci *o, struct value *list, const char *target, const char *type, const char *source,
                      const char *options)
{
    struct arena *a = o->a;
    struct value *m = value_map(a), *opts = value_list(a);
    set_str(o, m, "destination", target);
    set_str(o, m, "type", type);
    set_str(o, m, "source", source);
    for (const char *s = options; s != NULL && *s != '\0';) {
        size_t n = strcspn(s, ",");
        value_append(a, opts, value_str(a, (struct str){s, n}));
        s += n + (s[n] == ',');
    }
    value_set(a, m, "options", opts);
    value_append(a, list, m);
}

#define OWN_MOUNT "rbind,rprivate,rw,nosuid,nodev,noexec"

static void add_own_mount(struct oci *o, struct value *list, const char *target, const char *source,
                          const char *options)
{
    if (source != NULL && source[0] != '\0' && !user_mounts(o->in->spec, target)) {
        add_mount(o, list, target, "bind", source, options);
    }
}

/* A target within another must come after it: shorter paths first, equal ones in the order given. */
static int by_depth(const void *x, const void *y)
{
    const struct runtime_mount *const *a = x, *const *b = y;
    size_t n = strlen((*a)->target), m = strlen((*b)->target);
    return n != m ? (n > m) - (n < m) : (*a > *b) - (*a < *b);
}

static void add_user_mounts(struct oci *o, struct value *list)
{
    const struct runtime_spec *s = o->in->spec;
    const struct runtime_mount **sorted = xcalloc(s->mounts_count + 1, sizeof *sorted);
    for (unsigned i = 0; i < s->mounts_count; i++) {
        sorted[i] = &s->mounts[i];
    }
    qsort(sorted, s->mounts_count, sizeof *sorted, by_depth);
    for (unsigned i = 0; i < s->mounts_count; i++) {
        const char *prop = sorted[i]->propagation == NULL ? "" : sorted[i]->propagation;
        char options[96];
        snprintf(options, sizeof options, "rbind,%s,%s%s",
                 strcmp(prop, "HostToContainer") == 0 ? "rslave"
                 : strcmp(prop, "Bidirectional") == 0 ? "rshared"
                                                      : "rprivate",
                 sorted[i]->read_only_below ? "rro"
                 : sorted[i]->read_only     ? "ro"
                                            : "rw",
                 sorted[i]->data        ? ",nosuid,nodev,noexec"
                 : sorted[i]->no_device ? ",nodev"
                                        : "");
        add_mount(o, list, sorted[i]->target, "bind", sorted[i]->source, options);
    }
    free(sorted);
}

static struct value *mounts(struct oci *o)
{
    const struct runtime_spec *s = o->in->spec;
    const struct sandbox *sb = s->sandbox;
    bool privileged = s->security.privileged;
    struct value *list = value_list(o->a);
    const char *term = s->termination_message_path;
    add_mount(o, list, "/proc", "proc", "proc", "nosuid,noexec,nodev");
    add_mount(o, list, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
    add_mount(o, list, "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
    add_mount(o, list, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
    add_mount(o, list, "/sys", "sysfs", "sysfs", privileged ? "nosuid,noexec,nodev,rw" : "nosuid,noexec,nodev,ro");
    add_mount(o, list, "/sys/fs/cgroup", "cgroup", "cgroup",
              privileged ? "nosuid,noexec,nodev,relatime,rw" : "nosuid,noexec,nodev,relatime,ro");
    if (sb != NULL) {
        add_own_mount(o, list, "/dev/shm", sb->shm, OWN_MOUNT);
        add_own_mount(o, list, "/etc/hosts", sb->hosts, OWN_MOUNT);
        add_own_mount(o, list, "/etc/hostname", sb->hostname_file, OWN_MOUNT);
        add_own_mount(o, list, "/etc/resolv.conf", sb->resolv_conf, OWN_MOUNT);
    }
    add_own_mount(o, list, term != NULL && term[0] != '\0' ? term : "/dev/termination-log", o->in->termination_log,
                  OWN_MOUNT);
    add_user_mounts(o, list);
    return list;
}

static void add_namespace(struct oci *o, struct value *list, const char *type, const char *path)
{
    struct value *n = value_map(o->a);
    set_str(o, n, "type", type);
    if (path != NULL) {
        set_str(o, n, "path", path);
    }
    value_append(o->a, list, n);
}

static struct value *namespaces(struct oci *o)
{
    const struct runtime_spec *s = o->in->spec;
    const struct sandbox *sb = s->sandbox;
    struct value *list = value_list(o->a);
    add_namespace(o, list, "mount", NULL);
    if (sb != NULL && sb->user[0] != '\0') {
        add_namespace(o, list, "user", sb->user);
    }
    if (!s->host_pid) {
        add_namespace(o, list, "pid",
                      s->pid_namespace != NULL           ? s->pid_namespace
                      : sb != NULL && sb->pid[0] != '\0' ? sb->pid
                                                         : NULL);
    }
    if (o->in->cgroup_v2) {
        add_namespace(o, list, "cgroup", NULL);
    }
    if (sb != NULL && sb->net[0] != '\0') {
        add_namespace(o, list, "network", sb->net);
    }
    if (sb != NULL && sb->ipc[0] != '\0') {
        add_namespace(o, list, "ipc", sb->ipc);
    }
    if (sb != NULL && sb->uts[0] != '\0') {
        add_namespace(o, list, "uts", sb->uts);
    }
    return list;
}

static struct value *resources(struct oci *o)
{
    const struct runtime_resources *r = &o->in->spec->resources;
    struct arena *a = o->a;
    struct value *v = value_map(a), *devices = value_list(a), *rule = value_map(a);
    value_set(a, rule, "allow", value_bool(a, o->in->spec->security.privileged));
    set_str(o, rule, "access", "rwm");
    value_append(a, devices, rule);
    value_set(a, v, "devices", devices);
    if (r->memory_bytes > 0) {
        struct value *m = value_ensure_map(a, v, "memory");
        value_set(a, m, "limit", value_int(a, (int64_t)r->memory_bytes));
    }
    struct value *cpu = value_ensure_map(a, v, "cpu");
    value_set(a, cpu, "shares", value_int(a, r->cpu_shares > 2 ? (int64_t)r->cpu_shares : 2));
    if (r->cpu_quota_us > 0) {
        value_set(a, cpu, "quota", value_int(a, r->cpu_quota_us));
        value_set(a, cpu, "period", value_int(a, r->cpu_period_us > 0 ? r->cpu_period_us : 100000));
    }
    if (r->pids_max > 0) {
        value_set(a, value_ensure_map(a, v, "pids"), "limit", value_int(a, r->pids_max));
    }
    return v;
}

/* Privileged: all device nodes of the node's /dev, but for those that every container gets of its own. */
static void add_devices(struct oci *o, struct value *list, const char *dir, unsigned depth)
{
    static const char *const own[] = {"pts",  "shm", "mqueue", "fd",      "console", "ptmx",   "null",  "zero",
                                      "full", "tty", "random", "urandom", "stdin",   "stdout", "stderr"};
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[FS_PATH_MAX];
        struct stat st;
        bool skip = e->d_name[0] == '.';
        for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
            skip |= depth == 2 && strcmp(own[i], e->d_name) == 0;
        }
        fs_path(path, sizeof path, "%s/%s", dir, e->d_name);
        if (skip || lstat(path, &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode) && depth > 0) {
            add_devices(o, list, path, depth - 1);
        } else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
            struct value *v = value_map(o->a);
            set_str(o, v, "path", path);
            set_str(o, v, "type", S_ISCHR(st.st_mode) ? "c" : "b");
            value_set(o->a, v, "major", value_int(o->a, major(st.st_rdev)));
            value_set(o->a, v, "minor", value_int(o->a, minor(st.st_rdev)));
            value_set(o->a, v, "fileMode", value_int(o->a, st.st_mode & 07777));
            value_set(o->a, v, "uid", value_int(o->a, st.st_uid));
            value_set(o->a, v, "gid", value_int(o->a, st.st_gid));
            value_append(o->a, list, v);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

static struct value *shifted(struct oci *o)
{
    struct value *list = value_list(o->a), *m = value_map(o->a);
    value_set(o->a, m, "containerID", value_int(o->a, 0));
    value_set(o->a, m, "hostID", value_int(o->a, o->in->spec->sandbox->user_first));
    value_set(o->a, m, "size", value_int(o->a, USERNS_IDS));
    value_append(o->a, list, m);
    return list;
}

static struct value *linux_part(struct oci *o, struct error *err)
{
    static const char *const masked[] = {"/proc/acpi",       "/proc/asound",      "/proc/interrupts",
                                         "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
                                         "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                                         "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
    static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    const struct runtime_spec *s = o->in->spec;
    struct arena *a = o->a;
    struct value *l = value_map(a);
    set_str(o, l, "cgroupsPath", o->in->cgroups_path);
    value_set(a, l, "namespaces", namespaces(o));
    if (s->sandbox != NULL && s->sandbox->user[0] != '\0') {
        value_set(a, l, "uidMappings", shifted(o));
        value_set(a, l, "gidMappings", shifted(o));
    }
    value_set(a, l, "resources", resources(o));
    if (s->security.privileged) {
        add_devices(o, value_ensure_list(a, l, "devices"), "/dev", 2);
    } else if (!s->security.unmasked_proc) {
        value_set(a, l, "maskedPaths", strings(o, masked, ARRAY_SIZE(masked)));
        value_set(a, l, "readonlyPaths", strings(o, read_only, ARRAY_SIZE(read_only)));
    }
    for (unsigned i = 0; i < s->mounts_count; i++) {
        const char *prop = s->mounts[i].propagation;
        if (prop != NULL && strcmp(prop, "Bidirectional") == 0) {
            set_str(o, l, "rootfsPropagation", "rshared");
            break;
        }
        if (prop != NULL && strcmp(prop, "HostToContainer") == 0) {
            set_str(o, l, "rootfsPropagation", "rslave");
        }
    }
    if (o->in->seccomp) {
        struct value *profile = o->in->seccomp_profile.n == 0
                                    ? seccomp_default(a, o->caps, o->caps_count)
                                    : seccomp_profile(a, o->in->seccomp_profile, o->caps, o->caps_count, err);
        if (profile == NULL) {
            return NULL;
        }
        value_set(a, l, "seccomp", profile);
        o->seccomp = profile;
    }
    return l;
}

/* The program that is known already for this profile, or the profile's text, for whoever wants to know the program
 * later. */
static void use_filter(struct oci *o, struct value *doc)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    if (o->seccomp == NULL || o->in->filters == NULL) {
        return;
    }
    json_write(&text, o->seccomp, 0);
    const char *program = filters_find(o->in->filters, buf_str(&text));
    if (program != NULL) {
        set_str(o, value_ensure_map(o->a, doc, "annotations"), "run.oci.seccomp_bpf_data", program);
    } else if (o->in->profile_used != NULL) {
        buf_append(o->in->profile_used, text.data, text.size);
    }
}

int oci_config_write(const struct oci_input *in, struct buf *out, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct oci o = {.in = in, .a = &a};
    struct value *doc = value_map(&a), *root = value_map(&a);
    assert(in->args != NULL && in->args[0] != NULL && in->rootfs[0] == '/');
    o.caps_count = oci_capabilities(&in->spec->security, o.caps);
    set_str(&o, doc, "ociVersion", "1.0.0");
    value_set(&a, doc, "process", process(&o));
    set_str(&o, root, "path", in->rootfs);
    value_set(&a, root, "readonly", value_bool(&a, in->spec->security.read_only_root));
    value_set(&a, doc, "root", root);
    value_set(&a, doc, "mounts", mounts(&o));
    struct value *l = linux_part(&o, err);
    if (l == NULL) {
        return ERR_INVALID;
    }
    value_set(&a, doc, "linux", l);
    use_filter(&o, doc);
    json_write(out, doc, 0);
    return 0;
}

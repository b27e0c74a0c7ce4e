#include "proto/facts/pod_security.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

const char *const pod_security_words[3] = {"privileged", "baseline", "restricted"};

bool pod_security_parse(struct str word, enum pod_security_level *out)
{
    for (unsigned i = 0; i < ARRAY_SIZE(pod_security_words); i++) {
        if (str_is(word, pod_security_words[i])) {
            *out = (enum pod_security_level)i;
            return true;
        }
    }
    return false;
}

static enum pod_security_level level_of(struct mp labels, const char *label, enum pod_security_level fallback)
{
    struct mp m = mp_get(labels, label);
    enum pod_security_level level = fallback;
    if (mp_type(m) == MP_STR && !pod_security_parse(mp_str(m), &level)) {
        level = POD_SECURITY_RESTRICTED;
    }
    return level;
}

struct pod_security pod_security_of(struct mp labels, struct pod_security fallback)
{
    return (struct pod_security){
        .enforce = level_of(labels, POD_SECURITY_PREFIX "enforce", fallback.enforce),
        .warn = level_of(labels, POD_SECURITY_PREFIX "warn", fallback.warn),
        .audit = level_of(labels, POD_SECURITY_PREFIX "audit", fallback.audit),
    };
}

/* ---- The pod's parts ---- */

static const char *const container_lists[] = {"initContainers", "containers", "ephemeralContainers"};

/* Walks over all containers of a spec, in the order in which they are told. */
struct walk {
    const struct value *spec;
    unsigned list, at;
};
static const struct value *walk_next(struct walk *w)
{
    for (; w->list < ARRAY_SIZE(container_lists); w->list++, w->at = 0) {
        const struct value *list = value_get(w->spec, container_lists[w->list]);
        if (w->at < value_count(list)) {
            return value_item(list, w->at++);
        }
    }
    return NULL;
}
#define CONTAINER_FOR(c, pod_spec)                                                                                     \
    for (struct walk walk_ = {.spec = (pod_spec)}, *once_ = &walk_; once_ != NULL; once_ = NULL)                       \
        for (const struct value *c; (c = walk_next(&walk_)) != NULL;)

/* Names in quotes, with commas; what they are in front, in the singular or the plural. */
struct names {
    struct buf text;
    unsigned count;
};
static void name_add(struct names *n, struct str name)
{
    buf_printf(&n->text, "%s\"%.*s\"", n->count++ > 0 ? ", " : "", STR_ARG(name));
}

/* One finding among those of a rule: `what` with the names in front. Nothing without names. Ends n. */
static void names_end(struct buf *out, struct names *n, const char *one, const char *what)
{
    if (n->count > 0) {
        buf_printf(out, "%s%s%s %s %s", out->size > 0 ? "; " : "", one, n->count > 1 ? "s" : "", buf_cstr(&n->text),
                   what);
    }
    buf_close(&n->text);
}

static void say(struct buf *out, const char *what)
{
    buf_printf(out, "%s%s", out->size > 0 ? "; " : "", what);
}

static struct str container_name(const struct value *c)
{
    return value_path_str(c, "name");
}

static bool is_one_of(struct str s, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (str_is(s, *words)) {
            return true;
        }
    }
    return false;
}

/* ---- Rules of the baseline ---- */

/* A word at `path` of the pod's spec, or of a container, that is none of those allowed. */
static void words(struct buf *out, const struct value *spec, const char *path, const char *const *allowed,
                  const char *rule)
{
    struct names n = {0};
    if (!is_one_of(value_path_str(spec, path), allowed)) {
        buf_printf(out, "%spod %s", out->size > 0 ? "; " : "", rule);
    }
    CONTAINER_FOR(c, spec)
    {
        if (!is_one_of(value_path_str(c, path), allowed)) {
            name_add(&n, container_name(c));
        }
    }
    names_end(out, &n, "container", rule);
}

/* Containers where the switch at `path` is on; one that is not there stands as `unset`. */
static void switches(struct buf *out, const struct value *spec, const char *path, bool unset, const char *rule)
{
    struct names n = {0};
    CONTAINER_FOR(c, spec)
    {
        if (value_path_bool(c, path, unset)) {
            name_add(&n, container_name(c));
        }
    }
    names_end(out, &n, "container", rule);
}

static void app_armor(struct buf *out, const struct value *pod, const struct value *spec)
{
    static const char *const allowed[] = {"", "RuntimeDefault", "Localhost", NULL};
    const struct value *annotations = value_path(pod, "metadata.annotations");
    struct names n = {0};
    words(out, spec, "securityContext.appArmorProfile.type", allowed,
          "must not set AppArmor profile type to \"Unconfined\"");
    for (unsigned i = 0; i < value_count(annotations); i++) {
        struct str key = annotations->map.members[i].key, v = value_to_str(annotations->map.members[i].value);
        if (str_starts(key, STR("container.apparmor.security.beta.kubernetes.io/")) && v.n > 0 &&
            !str_is(v, "runtime/default") && !str_starts(v, STR("localhost/"))) {
            name_add(&n, key);
        }
    }
    names_end(out, &n, "annotation", "must not ask for another AppArmor profile");
}

/* What containers add that is not allowed, each once. */
static void capabilities(struct buf *out, const struct value *spec, const char *const *allowed)
{
    struct names who = {0}, what = {0};
    CONTAINER_FOR(c, spec)
    {
        const struct value *add = value_path(c, "securityContext.capabilities.add");
        bool found = false;
        VALUE_FOR(i, add)
        {
            struct str cap = value_to_str(value_item(add, i));
            if (is_one_of(cap, allowed)) {
                continue;
            }
            found = true;
            CLEANUP_BUF struct buf quoted = BUF_INIT;
            buf_printf(&quoted, "\"%.*s\"", STR_ARG(cap));
            if (what.count == 0 || strstr(buf_cstr(&what.text), buf_cstr(&quoted)) == NULL) {
                name_add(&what, cap);
            }
        }
        if (found) {
            name_add(&who, container_name(c));
        }
    }
    CLEANUP_BUF struct buf text = BUF_INIT;
    buf_printf(&text, "must not include %s in securityContext.capabilities.add",
               what.count > 0 ? buf_cstr(&what.text) : "");
    names_end(out, &who, "container", buf_cstr(&text));
    buf_close(&what.text);
}

static void baseline_capabilities(struct buf *out, const struct value *pod, const struct value *spec)
{
    static const char *const allowed[] = {"AUDIT_WRITE", "CHOWN",  "DAC_OVERRIDE",     "FOWNER",  "FSETID",
                                          "KILL",        "MKNOD",  "NET_BIND_SERVICE", "SETFCAP", "SETGID",
                                          "SETPCAP",     "SETUID", "SYS_CHROOT",       NULL};
    (void)pod;
    capabilities(out, spec, allowed);
}

static void host_namespaces(struct buf *out, const struct value *pod, const struct value *spec)
{
    static const char *const fields[] = {"hostNetwork", "hostPID", "hostIPC"};
    (void)pod;
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        if (value_to_bool(value_get(spec, fields[i]), false)) {
            buf_printf(out, "%s%s=true", out->size > 0 ? ", " : "", fields[i]);
        }
    }
}

static void host_path(struct buf *out, const struct value *pod, const struct value *spec)
{
    const struct value *volumes = value_get(spec, "volumes");
    struct names n = {0};
    (void)pod;
    VALUE_FOR(i, volumes)
    {
        if (!value_is_null(value_get(value_item(volumes, i), "hostPath"))) {
            name_add(&n, value_path_str(value_item(volumes, i), "name"));
        }
    }
    if (n.count > 0) {
        buf_printf(out, "volume%s %s", n.count > 1 ? "s" : "", buf_cstr(&n.text));
    }
    buf_close(&n.text);
}

static void host_ports(struct buf *out, const struct value *pod, const struct value *spec)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct names n = {0};
    unsigned count = 0;
    (void)pod;
    CONTAINER_FOR(c, spec)
    {
        const struct value *ports = value_get(c, "ports");
        bool found = false;
        VALUE_FOR(i, ports)
        {
            int64_t port = value_path_int(value_item(ports, i), "hostPort", 0);
            if (port != 0) {
                buf_printf(&text, "%s%lld", count++ > 0 ? ", " : "", (long long)port);
                found = true;
            }
        }
        if (found) {
            name_add(&n, container_name(c));
        }
    }
    CLEANUP_BUF struct buf what = BUF_INIT;
    buf_printf(&what, "%s hostPort%s %s", n.count > 1 ? "use" : "uses", count > 1 ? "s" : "",
               count > 0 ? buf_cstr(&text) : "");
    names_end(out, &n, "container", buf_cstr(&what));
}

static void privileged(struct buf *out, const struct value *pod, const struct value *spec)
{
    (void)pod;
    switches(out, spec, "securityContext.privileged", false, "must not set securityContext.privileged=true");
}

static void proc_mount(struct buf *out, const struct value *pod, const struct value *spec)
{
    static const char *const allowed[] = {"", "Default", NULL};
    (void)pod;
    words(out, spec, "securityContext.procMount", allowed, "must not set securityContext.procMount to \"Unmasked\"");
}

/* Of what a pod or a container says of SELinux: what is not allowed. */
static bool selinux_is_bad(const struct value *context)
{
    static const char *const types[] = {"",  "container_t", "container_init_t", "container_kvm_t", "container_engine_t",
                                        NULL};
    const struct value *o = value_get(context, "seLinuxOptions");
    return !is_one_of(value_path_str(o, "type"), types) || value_path_str(o, "user").n > 0 ||
           value_path_str(o, "role").n > 0;
}

static void selinux(struct buf *out, const struct value *pod, const struct value *spec)
{
    struct names n = {0};
    (void)pod;
    if (selinux_is_bad(value_get(spec, "securityContext"))) {
        say(out, "pod set forbidden securityContext.seLinuxOptions");
    }
    CONTAINER_FOR(c, spec)
    {
        if (selinux_is_bad(value_get(c, "securityContext"))) {
            name_add(&n, container_name(c));
        }
    }
    names_end(out, &n, "container", "set forbidden securityContext.seLinuxOptions");
}

static void baseline_seccomp(struct buf *out, const struct value *pod, const struct value *spec)
{
    static const char *const allowed[] = {"", "RuntimeDefault", "Localhost", NULL};
    (void)pod;
    words(out, spec, "securityContext.seccompProfile.type", allowed,
          "must not set securityContext.seccompProfile.type to \"Unconfined\"");
}

static void sysctls(struct buf *out, const struct value *pod, const struct value *spec)
{
    static const char *const allowed[] = {"kernel.shm_rmid_forced",
                                          "net.ipv4.ip_local_port_range",
                                          "net.ipv4.ip_local_reserved_ports",
                                          "net.ipv4.ip_unprivileged_port_start",
                                          "net.ipv4.ping_group_range",
                                          "net.ipv4.tcp_fin_timeout",
                                          "net.ipv4.tcp_keepalive_intvl",
                                          "net.ipv4.tcp_keepalive_probes",
                                          "net.ipv4.tcp_keepalive_time",
                                          "net.ipv4.tcp_rmem",
                                          "net.ipv4.tcp_syncookies",
                                          "net.ipv4.tcp_wmem",
                                          NULL};
    const struct value *list = value_path(spec, "securityContext.sysctls");
    (void)pod;
    VALUE_FOR(i, list)
    {
        struct str name = value_path_str(value_item(list, i), "name");
        if (!is_one_of(name, allowed)) {
            buf_printf(out, "%s%.*s", out->size > 0 ? ", " : "", STR_ARG(name));
        }
    }
}

static void host_process(struct buf *out, const struct value *pod, const struct value *spec)
{
    static const char rule[] = "must not set securityContext.windowsOptions.hostProcess=true";
    (void)pod;
    if (value_path_bool(spec, "securityContext.windowsOptions.hostProcess", false)) {
        buf_printf(out, "pod %s", rule);
    }
    switches(out, spec, "securityContext.windowsOptions.hostProcess", false, rule);
}

/* ---- Rules of the restricted level ---- */

static void escalation(struct buf *out, const struct value *pod, const struct value *spec)
{
    (void)pod;
    switches(out, spec, "securityContext.allowPrivilegeEscalation", true,
             "must set securityContext.allowPrivilegeEscalation=false");
}

static void restricted_capabilities(struct buf *out, const struct value *pod, const struct value *spec)
{
    static const char *const allowed[] = {"NET_BIND_SERVICE", NULL};
    struct names n = {0};
    (void)pod;
    CONTAINER_FOR(c, spec)
    {
        const struct value *drop = value_path(c, "securityContext.capabilities.drop");
        bool all = false;
        VALUE_FOR(i, drop)
        {
            all = all || str_is(value_to_str(value_item(drop, i)), "ALL");
        }
        if (!all) {
            name_add(&n, container_name(c));
        }
    }
    names_end(out, &n, "container", "must set securityContext.capabilities.drop=[\"ALL\"]");
    capabilities(out, spec, allowed);
}

static void restricted_volumes(struct buf *out, const struct value *pod, const struct value *spec)
{
    static const char *const allowed[] = {"configMap", "csi",   "downwardAPI",           "emptyDir",
                                          "ephemeral", "image", "persistentVolumeClaim", "projected",
                                          "secret",    NULL};
    const struct value *volumes = value_get(spec, "volumes");
    (void)pod;
    VALUE_FOR(i, volumes)
    {
        const struct value *v = value_item(volumes, i);
        for (unsigned m = 0; m < value_count(v); m++) {
            struct str source = v->map.members[m].key;
            if (!str_is(source, "name") && !is_one_of(source, allowed) && !value_is_null(v->map.members[m].value)) {
                buf_printf(out, "%svolume \"%.*s\" uses restricted volume type \"%.*s\"", out->size > 0 ? ", " : "",
                           STR_ARG(value_path_str(v, "name")), STR_ARG(source));
            }
        }
    }
}

/* What a container says counts; where it says nothing, what the pod says. */
static void non_root(struct buf *out, const struct value *pod, const struct value *spec)
{
    const struct value *all = value_path(spec, "securityContext.runAsNonRoot");
    bool pod_yes = value_to_bool(all, false);
    struct names unset = {0}, against = {0};
    (void)pod;
    if (!value_is_null(all) && !pod_yes) {
        say(out, "pod must not set securityContext.runAsNonRoot=false");
    }
    CONTAINER_FOR(c, spec)
    {
        const struct value *own = value_path(c, "securityContext.runAsNonRoot");
        if (value_is_null(own) && value_is_null(all)) {
            name_add(&unset, container_name(c));
        } else if (!value_is_null(own) && !value_to_bool(own, false)) {
            name_add(&against, container_name(c));
        }
    }
    names_end(out, &against, "container", "must not set securityContext.runAsNonRoot=false");
    names_end(out, &unset, "pod or container", "must set securityContext.runAsNonRoot=true");
}

static void root_user(struct buf *out, const struct value *pod, const struct value *spec)
{
    struct names n = {0};
    (void)pod;
    if (value_path_int(spec, "securityContext.runAsUser", -1) == 0) {
        say(out, "pod must not set runAsUser=0");
    }
    CONTAINER_FOR(c, spec)
    {
        if (value_path_int(c, "securityContext.runAsUser", -1) == 0) {
            name_add(&n, container_name(c));
        }
    }
    names_end(out, &n, "container", "must not set runAsUser=0");
}

static void restricted_seccomp(struct buf *out, const struct value *pod, const struct value *spec)
{
    static const char *const allowed[] = {"RuntimeDefault", "Localhost", NULL};
    struct str all = value_path_str(spec, "securityContext.seccompProfile.type");
    struct names unset = {0}, against = {0};
    (void)pod;
    if (all.n > 0 && !is_one_of(all, allowed)) {
        say(out, "pod must not set securityContext.seccompProfile.type to \"Unconfined\"");
    }
    CONTAINER_FOR(c, spec)
    {
        struct str own = value_path_str(c, "securityContext.seccompProfile.type");
        if (own.n > 0 && !is_one_of(own, allowed)) {
            name_add(&against, container_name(c));
        } else if (own.n == 0 && all.n == 0) {
            name_add(&unset, container_name(c));
        }
    }
    names_end(out, &against, "container", "must not set securityContext.seccompProfile.type to \"Unconfined\"");
    names_end(out, &unset, "pod or container",
              "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"");
}

/* ---- All rules ---- */

/* In the order in which they are told. baseline_only: at the restricted level a stricter rule stands for it. */
static const struct {
    enum pod_security_level level;
    bool baseline_only;
    const char *title;
    void (*check)(struct buf *out, const struct value *pod, const struct value *spec);
} RULES[] = {
    {POD_SECURITY_BASELINE, false, "forbidden AppArmor profile", app_armor},
    {POD_SECURITY_BASELINE, true, "non-default capabilities", baseline_capabilities},
    {POD_SECURITY_BASELINE, false, "host namespaces", host_namespaces},
    {POD_SECURITY_BASELINE, true, "hostPath volumes", host_path},
    {POD_SECURITY_BASELINE, false, "hostPort", host_ports},
    {POD_SECURITY_BASELINE, false, "privileged", privileged},
    {POD_SECURITY_BASELINE, false, "procMount", proc_mount},
    {POD_SECURITY_BASELINE, false, "seLinuxOptions", selinux},
    {POD_SECURITY_BASELINE, true, "seccompProfile", baseline_seccomp},
    {POD_SECURITY_BASELINE, false, "forbidden sysctls", sysctls},
    {POD_SECURITY_BASELINE, false, "hostProcess", host_process},
    {POD_SECURITY_RESTRICTED, false, "allowPrivilegeEscalation != false", escalation},
    {POD_SECURITY_RESTRICTED, false, "unrestricted capabilities", restricted_capabilities},
    {POD_SECURITY_RESTRICTED, false, "restricted volume types", restricted_volumes},
    {POD_SECURITY_RESTRICTED, false, "runAsNonRoot != true", non_root},
    {POD_SECURITY_RESTRICTED, false, "runAsUser=0", root_user},
    {POD_SECURITY_RESTRICTED, false, "seccompProfile", restricted_seccomp},
};

void pod_security_breaks(struct buf *out, const struct value *pod, enum pod_security_level level)
{
    const struct value *spec = value_get(pod, "spec");
    size_t before = out->size;
    for (unsigned i = 0; i < ARRAY_SIZE(RULES); i++) {
        CLEANUP_BUF struct buf found = BUF_INIT;
        if (RULES[i].level <= level && !(RULES[i].baseline_only && level == POD_SECURITY_RESTRICTED)) {
            RULES[i].check(&found, pod, spec);
        }
        if (found.size > 0) {
            buf_printf(out, "%s%s (%s)", out->size > before ? ", " : "", RULES[i].title, buf_cstr(&found));
        }
    }
    assert(level != POD_SECURITY_PRIVILEGED || out->size == before);
}

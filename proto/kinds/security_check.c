/* Rules for the privileges of pods and containers: ids, capabilities, system calls, kernel settings, and what belongs
 * to which operating system. Source: Kubernetes v1.29, PodSecurityContext and SecurityContext. */
#include <ctype.h>

#include "proto/kinds/kinds.h"

#define SYSCTL_NAME_MAX        253u
#define CREDENTIAL_SPEC_MAX    (64u << 10)
#define WINDOWS_DOMAIN_MAX     255u
#define WINDOWS_USER_MAX       104u
#define SECCOMP_ONLY_LOCALHOST "can only be set when the type is Localhost"

static const char *const CONTAINER_LISTS[] = {"initContainers", "containers", "ephemeralContainers"};

/* ---- System calls ---- */

static void check_seccomp(const struct value *profile, const struct fpath *p, struct errlist *l)
{
    const struct value *file = value_get(profile, "localhostProfile");
    bool local = str_is(value_to_str(value_get(profile, "type")), "Localhost");
    if (profile == NULL) {
        return;
    }
    if (local && value_to_str(file).n == 0) {
        bad_missing(l, profile, FPATH_AT(p, "localhostProfile"), "must be set when the type is Localhost");
    } else if (!local && file != NULL) {
        bad_value(l, file, FPATH_AT(p, "localhostProfile"), SECCOMP_ONLY_LOCALHOST);
    }
    check_descending_path(l, file, FPATH_AT(p, "localhostProfile"));
}

/* As seccomp; the profile is a name that was loaded on the node, not a file. */
static void check_apparmor(const struct value *profile, const struct fpath *p, struct errlist *l)
{
    const struct value *name = value_get(profile, "localhostProfile");
    struct str s = value_to_str(name);
    bool local = str_is(value_to_str(value_get(profile, "type")), "Localhost");
    const struct fpath *at = FPATH_AT(p, "localhostProfile");
    if (profile == NULL) {
        return;
    }
    if (local && s.n == 0) {
        bad_missing(l, profile, at, "must be set when the type is Localhost");
    } else if (!local && name != NULL) {
        bad_value(l, name, at, SECCOMP_ONLY_LOCALHOST);
    } else if (s.n > 4095) {
        bad_too_long(l, name, at, 4095);
    } else if (s.n > 0 && (isspace((unsigned char)s.p[0]) || isspace((unsigned char)s.p[s.n - 1]))) {
        bad_value(l, name, at, "must not begin or end with white space");
    }
}

/* ---- Windows ---- */

static bool has_any(struct str s, const char *chars)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\0' && strchr(chars, s.p[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_net_bios(struct str s)
{
    return s.n > 0 && s.n <= 15 && s.p[0] != '.' && !has_any(s, "\\/:*?\"<>|");
}

static bool is_windows_domain(struct arena *a, struct str s)
{
    char *lower = arena_strndup(a, s.n == 0 ? "" : s.p, s.n);
    for (size_t i = 0; i < s.n; i++) {
        lower[i] = (char)tolower((unsigned char)lower[i]);
    }
    return s.n <= WINDOWS_DOMAIN_MAX && (is_net_bios(s) || name_is_dns_subdomain((struct str){lower, s.n}));
}

/* USER or DOMAIN\USER. NULL, or what is wrong. */
static const char *windows_user_fault(struct arena *a, struct str s)
{
    const char *backslash = s.n == 0 ? NULL : memchr(s.p, '\\', s.n);
    struct str user = s;
    bool only_dots = true;
    for (size_t i = 0; i < s.n; i++) {
        if (iscntrl((unsigned char)s.p[i])) {
            return "must not have control characters";
        }
    }
    if (backslash != NULL) {
        struct str domain = {s.p, (size_t)(backslash - s.p)};
        user = (struct str){backslash + 1, s.n - domain.n - 1};
        if (user.n > 0 && memchr(user.p, '\\', user.n) != NULL) {
            return "must not have more than one backslash";
        }
        if (!is_windows_domain(a, domain)) {
            return "the domain must be a NetBIOS or DNS name";
        }
    }
    for (size_t i = 0; i < user.n; i++) {
        only_dots = only_dots && (user.p[i] == '.' || user.p[i] == ' ');
    }
    if (only_dots) {
        return "the user must not be empty, nor only dots and blanks";
    }
    if (user.n > WINDOWS_USER_MAX) {
        return "the user must be at most 104 characters long";
    }
    return has_any(user, "\"/\\:;|=,+*?<>@[]") ? "the user must not have any of \"/\\:;|=,+*?<>@[]" : NULL;
}

static void check_windows_options(const struct value *o, const struct fpath *p, struct errlist *l)
{
    const struct value *name = value_get(o, "gmsaCredentialSpecName"), *spec = value_get(o, "gmsaCredentialSpec");
    const struct value *user = value_get(o, "runAsUserName");
    if (name != NULL && !name_is_dns_subdomain(value_to_str(name))) {
        bad_value(l, name, FPATH_AT(p, "gmsaCredentialSpecName"), NAME_SUBDOMAIN_WHY);
    }
    if (spec != NULL && (value_to_str(spec).n == 0 || value_to_str(spec).n > CREDENTIAL_SPEC_MAX)) {
        bad_value(l, spec, FPATH_AT(p, "gmsaCredentialSpec"), "must not be empty, nor larger than 64 KiB");
    }
    const char *fault = user == NULL ? NULL : windows_user_fault(l->arena, value_to_str(user));
    if (fault != NULL) {
        bad_value(l, user, FPATH_AT(p, "runAsUserName"), fault);
    }
}

/* All containers are of the host, or none, and then they have its network. */
static void check_host_process(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *of_pod = value_at(spec, "securityContext", "windowsOptions", "hostProcess", NULL);
    unsigned all = 0, host = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(CONTAINER_LISTS); k++) {
        const struct value *list = value_get(spec, CONTAINER_LISTS[k]);
        VALUE_FOR(i, list)
        {
            const struct value *own =
                value_at(value_item(list, i), "securityContext", "windowsOptions", "hostProcess", NULL);
            all++;
            host += value_to_bool(own != NULL ? own : of_pod, false);
            if (own != NULL && of_pod != NULL && value_to_bool(own, false) != value_to_bool(of_pod, false)) {
                const struct fpath *c = FPATH_ITEM(FPATH_AT(p, CONTAINER_LISTS[k]), i);
                bad_value(l, own, FPATH_AT(FPATH_AT(FPATH_AT(c, "securityContext"), "windowsOptions"), "hostProcess"),
                          "must be as in securityContext of the pod");
            }
        }
    }
    if (host > 0 && host < all) {
        bad_value(l, spec, p, "if one container is a hostProcess container then all must be");
    }
    if (host > 0 && !value_to_bool(value_get(spec, "hostNetwork"), false)) {
        const struct value *network = value_get(spec, "hostNetwork");
        bad_value(l, network != NULL ? network : value_bool(l->arena, false), FPATH_AT(p, "hostNetwork"),
                  "must be true if there are hostProcess containers");
    }
}

/* ---- What belongs to one operating system only ---- */

static void forbid_members(const struct value *v, const char *names, const char *why, const struct fpath *p,
                           struct errlist *l)
{
    for (unsigned i = 0; i < value_count(v); i++) {
        const struct value_member *m = &v->map.members[i];
        bool empty = (m->value->type == VALUE_LIST && value_count(m->value) == 0) ||
                     (m->value->type == VALUE_BOOL && !m->value->boolean && in_choices(m->key, "hostPID|hostIPC"));
        if (in_choices(m->key, names) && !empty) {
            bad_forbidden(l, m->value, FPATH_STR(p, m->key), why);
        }
    }
}

static void check_os(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    struct str os = value_to_str(value_at(spec, "os", "name", NULL));
    bool windows = str_is(os, "windows");
    if (!windows && !str_is(os, "linux")) {
        return;
    }
    const char *why = windows ? "cannot be set for a windows pod" : "cannot be set for a linux pod";
    const char *of_pod =
        windows ? "appArmorProfile|seLinuxOptions|seccompProfile|fsGroup|fsGroupChangePolicy|sysctls|runAsUser|"
                  "runAsGroup|supplementalGroups|supplementalGroupsPolicy|seLinuxChangePolicy"
                : "windowsOptions";
    const char *of_container =
        windows ? "appArmorProfile|seLinuxOptions|seccompProfile|capabilities|readOnlyRootFilesystem|"
                  "privileged|allowPrivilegeEscalation|procMount|runAsUser|runAsGroup"
                : "windowsOptions";
    forbid_members(value_get(spec, "securityContext"), of_pod, why, FPATH_AT(p, "securityContext"), l);
    if (windows) {
        forbid_members(spec, "hostUsers|hostPID|hostIPC|shareProcessNamespace", why, p, l);
    }
    for (unsigned k = 0; k < ARRAY_SIZE(CONTAINER_LISTS); k++) {
        const struct value *list = value_get(spec, CONTAINER_LISTS[k]);
        VALUE_FOR(i, list)
        {
            forbid_members(value_get(value_item(list, i), "securityContext"), of_container, why,
                           FPATH_AT(FPATH_ITEM(FPATH_AT(p, CONTAINER_LISTS[k]), i), "securityContext"), l);
        }
    }
}

/* ---- Kernel settings ---- */

/* Parts of lower case letters, digits, '-' and '_', beginning and ending with a letter or digit, joined by '.' or
 * '/'. */
static bool is_sysctl_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = islower((unsigned char)c) || isdigit((unsigned char)c);
        bool joint = c == '.' || c == '/', inner = c == '-' || c == '_';
        bool edge =
            i == 0 || i + 1 == s.n || s.p[i - 1] == '.' || s.p[i - 1] == '/' || s.p[i + 1] == '.' || s.p[i + 1] == '/';
        if (!alnum && !(joint && i > 0 && i + 1 < s.n && s.p[i + 1] != '.' && s.p[i + 1] != '/') && !(inner && !edge)) {
            return false;
        }
    }
    return s.n > 0 && s.n <= SYSCTL_NAME_MAX;
}

/* The network of the node or its message queues and shared memory are not the pod's to set up. */
static const char *sysctl_namespace_fault(const struct value *spec, struct str name)
{
    static const char *const of_ipc[] = {"kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."};
    char text[SYSCTL_NAME_MAX + 1];
    size_t n = MIN(name.n, sizeof text - 1);
    memcpy(text, name.p, n);
    text[n] = '\0';
    /* net/ipv4/conf/eth0.1 is the other spelling of net.ipv4.conf.eth0/1. */
    size_t first = strcspn(text, "./");
    for (size_t i = 0; text[first] == '/' && i < n; i++) {
        text[i] = (char)(text[i] == '/' ? '.' : text[i] == '.' ? '/' : text[i]);
    }
    if (value_to_bool(value_get(spec, "hostNetwork"), false) && strncmp(text, "net.", 4) == 0) {
        return "may not be specified when 'hostNetwork' is true";
    }
    for (unsigned i = 0; i < ARRAY_SIZE(of_ipc); i++) {
        if (value_to_bool(value_get(spec, "hostIPC"), false) && strncmp(text, of_ipc[i], strlen(of_ipc[i])) == 0) {
            return "may not be specified when 'hostIPC' is true";
        }
    }
    return NULL;
}

static void check_sysctls(const struct value *spec, const struct value *sysctls, const struct fpath *p,
                          struct errlist *l)
{
    VALUE_FOR(i, sysctls)
    {
        const struct value *name = value_get(value_item(sysctls, i), "name");
        const struct fpath *at = FPATH_AT(FPATH_ITEM(p, i), "name");
        struct str s = value_to_str(name);
        if (s.n == 0) {
            continue; /* the table has said it */
        }
        const char *fault = sysctl_namespace_fault(spec, s);
        if (!is_sysctl_name(s)) {
            bad_value(
                l, name, at,
                "must be at most 253 lower case letters, digits, '-' and '_' in parts joined by '.' or '/' (such as "
                "net.core.somaxconn)");
        } else if (value_find(sysctls, "name", s) != value_item(sysctls, i)) {
            bad_duplicate(l, name, at);
        } else if (fault != NULL) {
            bad_value(l, name, at, fault);
        }
    }
}

/* ---- The two contexts ---- */

/* Who is root of the node only by number must not see the kernel's knobs. */
static void check_proc_mounts(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    for (unsigned k = 0; value_to_bool(value_get(spec, "hostUsers"), true) && k < ARRAY_SIZE(CONTAINER_LISTS); k++) {
        const struct value *list = value_get(spec, CONTAINER_LISTS[k]);
        VALUE_FOR(i, list)
        {
            const struct value *mount = value_at(value_item(list, i), "securityContext", "procMount", NULL);
            if (str_is(value_to_str(mount), "Unmasked")) {
                const struct fpath *c = FPATH_ITEM(FPATH_AT(p, CONTAINER_LISTS[k]), i);
                bad_value(l, mount, FPATH_AT(FPATH_AT(c, "securityContext"), "procMount"),
                          "`hostUsers` must be false to use `Unmasked`");
            }
        }
    }
}

static void check_host_users(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    static const char *const names[] = {"hostNetwork", "hostPID", "hostIPC"};
    for (unsigned i = 0; i < ARRAY_SIZE(names) && !value_to_bool(value_get(spec, "hostUsers"), true); i++) {
        if (value_to_bool(value_get(spec, names[i]), false)) {
            bad_forbidden(l, value_get(spec, names[i]), FPATH_AT(p, names[i]), "when `hostUsers` is false");
        }
    }
}

void pod_security_check(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    static const char *const ids[] = {"runAsUser", "runAsGroup", "fsGroup"};
    const struct value *sc = value_get(spec, "securityContext"), *groups = value_get(sc, "supplementalGroups");
    const struct fpath *at = FPATH_AT(p, "securityContext");
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        check_range(l, value_get(sc, ids[i]), FPATH_AT(at, ids[i]), 0, INT32_MAX);
    }
    VALUE_FOR(i, groups)
    {
        check_range(l, value_item(groups, i), FPATH_ITEM(FPATH_AT(at, "supplementalGroups"), i), 0, INT32_MAX);
    }
    check_sysctls(spec, value_get(sc, "sysctls"), FPATH_AT(at, "sysctls"), l);
    check_seccomp(value_get(sc, "seccompProfile"), FPATH_AT(at, "seccompProfile"), l);
    check_apparmor(value_get(sc, "appArmorProfile"), FPATH_AT(at, "appArmorProfile"), l);
    check_windows_options(value_get(sc, "windowsOptions"), FPATH_AT(at, "windowsOptions"), l);
    if (value_to_bool(value_get(spec, "hostPID"), false) &&
        value_to_bool(value_get(spec, "shareProcessNamespace"), false)) {
        bad_value(l, value_get(spec, "shareProcessNamespace"), FPATH_AT(p, "shareProcessNamespace"),
                  "shareProcessNamespace and hostPID cannot both be true");
    }
    check_host_process(spec, p, l);
    check_host_users(spec, p, l);
    check_proc_mounts(spec, p, l);
    check_os(spec, p, l);
}

void container_security_check(const struct value *sc, const struct fpath *p, struct errlist *l)
{
    const struct value *escalation = value_get(sc, "allowPrivilegeEscalation");
    const struct value *add = value_at(sc, "capabilities", "add", NULL);
    check_range(l, value_get(sc, "runAsUser"), FPATH_AT(p, "runAsUser"), 0, INT32_MAX);
    check_range(l, value_get(sc, "runAsGroup"), FPATH_AT(p, "runAsGroup"), 0, INT32_MAX);
    check_seccomp(value_get(sc, "seccompProfile"), FPATH_AT(p, "seccompProfile"), l);
    check_apparmor(value_get(sc, "appArmorProfile"), FPATH_AT(p, "appArmorProfile"), l);
    check_windows_options(value_get(sc, "windowsOptions"), FPATH_AT(p, "windowsOptions"), l);
    if (value_to_bool(escalation, true)) {
        return;
    }
    if (value_to_bool(value_get(sc, "privileged"), false)) {
        bad_value(l, sc, p, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    }
    VALUE_FOR(i, add)
    {
        if (str_is(value_to_str(value_item(add, i)), "CAP_SYS_ADMIN")) {
            bad_value(l, sc, p, "cannot set `allowPrivilegeEscalation` to false and add the capability CAP_SYS_ADMIN");
        }
    }
}

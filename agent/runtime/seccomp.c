#include "agent/runtime/seccomp.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/machine.h"
#include "proto/text/text.h"

/* Profiles of the node: checked, conditions decided, and the rest passed on. */

static const char *native_arch(void)
{
#if defined(__x86_64__)
    return "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
    return "SCMP_ARCH_AARCH64";
#else
    return "";
#endif
}

static bool list_has(const struct value *list, const char *s)
{
    VALUE_FOR(i, list)
    {
        if (str_is(value_to_str(value_item(list, i)), s)) {
            return true;
        }
    }
    return false;
}

static bool have_cap(const char *const *caps, unsigned count, struct str name)
{
    for (unsigned i = 0; i < count; i++) {
        if (str_is(name, caps[i])) {
            return true;
        }
    }
    return false;
}

static bool kernel_at_least(struct str wanted)
{
    struct utsname u;
    unsigned major = 0, minor = 0, want_major = 0, want_minor = 0;
    char text[32];
    snprintf(text, sizeof text, "%.*s", STR_ARG(wanted));
    sscanf(text, "%u.%u", &want_major, &want_minor);
    return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
           (major > want_major || (major == want_major && minor >= want_minor));
}

/* All of "includes" must hold, none of "excludes" may. */
static bool applies(const struct value *rule, const char *const *caps, unsigned count)
{
    const struct value *in = value_get(rule, "includes"), *out = value_get(rule, "excludes");
    const struct value *arches = value_get(in, "arches"), *needed = value_get(in, "caps"),
                       *without = value_get(out, "caps");
    struct str kernel = value_to_str(value_get(in, "minKernel"));
    if ((value_count(arches) > 0 && !list_has(arches, machine_arch())) ||
        list_has(value_get(out, "arches"), machine_arch()) || (kernel.n > 0 && !kernel_at_least(kernel))) {
        return false;
    }
    VALUE_FOR(i, needed)
    {
        if (!have_cap(caps, count, value_to_str(value_item(needed, i)))) {
            return false;
        }
    }
    VALUE_FOR(i, without)
    {
        if (have_cap(caps, count, value_to_str(value_item(without, i)))) {
            return false;
        }
    }
    return true;
}

static void copy_key(struct arena *a, struct value *to, const struct value *from, const char *key)
{
    struct value *v = value_get(from, key);
    if (!value_is_null(v)) {
        value_set(a, to, key, v);
    }
}

/* ---- Is it a profile? ---- */

static bool is_action(const struct value *v)
{
    static const char *const actions[] = {"SCMP_ACT_KILL",  "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS",
                                          "SCMP_ACT_TRAP",  "SCMP_ACT_ERRNO",       "SCMP_ACT_TRACE",
                                          "SCMP_ACT_ALLOW", "SCMP_ACT_LOG"};
    for (unsigned i = 0; i < ARRAY_SIZE(actions); i++) {
        if (str_is(value_to_str(v), actions[i])) {
            return true;
        }
    }
    return false;
}

static int check_action(const struct value *holder, const char *key, const char *where, struct error *err)
{
    struct str s = value_to_str(value_get(holder, key));
    s.n = MIN(s.n, 40);
    return is_action(value_get(holder, key))
               ? 0
               : error_set(err, ERR_INVALID, "%s: %s \"%.*s\" is no action of seccomp (such as SCMP_ACT_ERRNO)", where,
                           key, STR_ARG(s));
}

static int check_rule(const struct value *rule, size_t index, struct error *err)
{
    char where[32];
    const struct value *names = value_get(rule, "names");
    snprintf(where, sizeof where, "syscalls[%zu]", index);
    bool named = value_count(names) > 0 && value_is_list(names);
    VALUE_FOR(i, names)
    {
        named = named && value_to_str(value_item(names, i)).n > 0;
    }
    if (!value_is_map(rule) || !named) {
        return error_set(err, ERR_INVALID, "%s: \"names\" must be a list of system calls", where);
    }
    return check_action(rule, "action", where, err);
}

static struct value *one_rule(struct arena *a, const struct value *rule)
{
    struct value *r = value_map(a);
    copy_key(a, r, rule, "names");
    copy_key(a, r, rule, "action");
    copy_key(a, r, rule, "errnoRet");
    copy_key(a, r, rule, "args");
    return r;
}

static struct value *architectures(struct arena *a, const struct value *map)
{
    struct value *arches = value_list(a);
    VALUE_FOR(i, map)
    {
        const struct value *entry = value_item(map, i), *subs = value_get(entry, "subArchitectures");
        if (!str_is(value_to_str(value_get(entry, "architecture")), native_arch())) {
            continue;
        }
        value_append(a, arches, value_get(entry, "architecture"));
        VALUE_FOR(k, subs)
        {
            value_append(a, arches, value_item(subs, k));
        }
    }
    return arches;
}

struct value *seccomp_profile(struct arena *a, struct str profile, const char *const *caps, unsigned caps_count,
                              struct error *err)
{
    struct value *doc, *out = value_map(a), *rules = value_list(a);
    if (json_read(a, profile, &doc, err) != 0) {
        return NULL;
    }
    const struct value *syscalls = value_get(doc, "syscalls");
    if (!value_is_map(doc) || (!value_is_null(syscalls) && !value_is_list(syscalls))) {
        error_set(err, ERR_INVALID, "a profile is a map with \"defaultAction\" and a list \"syscalls\"");
        return NULL;
    }
    if (check_action(doc, "defaultAction", "the profile", err) != 0) {
        return NULL;
    }
    copy_key(a, out, doc, "defaultAction");
    copy_key(a, out, doc, "defaultErrnoRet");
    copy_key(a, out, doc, "flags");
    copy_key(a, out, doc, "architectures");
    struct value *arches = architectures(a, value_get(doc, "archMap"));
    if (value_count(arches) > 0) {
        value_set(a, out, "architectures", arches);
    }
    VALUE_FOR(i, syscalls)
    {
        const struct value *rule = value_item(syscalls, i);
        if (check_rule(rule, i, err) != 0) {
            return NULL;
        }
        if (applies(rule, caps, caps_count)) {
            value_append(a, rules, one_rule(a, rule));
        }
    }
    value_set(a, out, "syscalls", rules);
    return out;
}

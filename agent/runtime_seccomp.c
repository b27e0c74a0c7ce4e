#include "agent/runtime_oci.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "proto/text.h"

/* containers-common's profile has what the runtime's has not: a map of architectures, and rules with conditions ("includes", "excludes": by
 * architecture, capability, kernel version). Here the conditions are decided and the rest is passed on. */

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

static const char *short_arch(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
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
    if ((value_count(arches) > 0 && !list_has(arches, short_arch())) ||
        list_has(value_get(out, "arches"), short_arch()) || (kernel.n > 0 && !kernel_at_least(kernel))) {
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

struct value *oci_seccomp(struct arena *a, struct str profile, const char *const *caps, unsigned caps_count,
                          struct error *err)
{
    struct value *doc, *out = value_map(a), *rules = value_list(a), *arches = value_list(a);
    if (json_read(a, profile, &doc, err) != 0) {
        error_wrap(err, "the seccomp profile");
        return NULL;
    }
    copy_key(a, out, doc, "defaultAction");
    copy_key(a, out, doc, "defaultErrnoRet");
    copy_key(a, out, doc, "flags");
    copy_key(a, out, doc, "architectures");
    const struct value *map = value_get(doc, "archMap");
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
    if (value_count(arches) > 0) {
        value_set(a, out, "architectures", arches);
    }
    const struct value *syscalls = value_get(doc, "syscalls");
    VALUE_FOR(i, syscalls)
    {
        const struct value *rule = value_item(syscalls, i);
        if (!applies(rule, caps, caps_count)) {
            continue;
        }
        struct value *r = value_map(a);
        copy_key(a, r, rule, "names");
        copy_key(a, r, rule, "action");
        copy_key(a, r, rule, "errnoRet");
        copy_key(a, r, rule, "args");
        value_append(a, rules, r);
    }
    value_set(a, out, "syscalls", rules);
    return out;
}

#include "agent/runtime_oci.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "proto/text.h"

/* containers-common's profile has what the runtime's has not: a map of architectures, and rules with conditions ("includes", "excludes": by
 * architecture, capability, kernel version). Here the conditions are decided and the rest is passed on. */

struct str oci_seccomp_builtin(void)
{
#define DENY(names) "{\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1,\"names\":[" names "]}"
#define DENY_WITHOUT(cap, names)                                                                                       \
    "{\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1,\"excludes\":{\"caps\":[\"" cap "\"]},\"names\":[" names "]}"
    static const char text[] =
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"archMap\":["
        "{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"]},"
        "{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":[\"SCMP_ARCH_ARM\"]}],\"syscalls\":["
        /* of the kernel as a whole, or of its far corners: nobody inside needs them */
        DENY("\"kexec_load\",\"kexec_file_load\",\"add_key\",\"keyctl\",\"request_key\",\"userfaultfd\",\"nfsservctl\","
             "\"uselib\",\"ustat\",\"sysfs\",\"_sysctl\",\"vm86\",\"vm86old\",\"io_uring_setup\",\"io_uring_enter\","
             "\"io_uring_register\"") ","
                                      /* a namespace of one's own brings all capabilities inside it */
                                      "{\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1,\"excludes\":{\"caps\":[\"CAP_SYS_"
                                      "ADMIN\"]},\"names\":[\"clone\"],"
                                      "\"args\":[{\"index\":0,\"value\":268435456,\"valueTwo\":268435456,\"op\":\"SCMP_"
                                      "CMP_MASKED_EQ\"}]},"
                                      "{\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38,\"excludes\":{\"caps\":[\"CAP_"
                                      "SYS_ADMIN\"]},\"names\":[\"clone3\"]}," DENY_WITHOUT("CAP_SYS_ADMIN",
                                                                                            "\"unshare\",\"setns\","
                                                                                            "\"mount\",\"umount\","
                                                                                            "\"umount2\",\"mount_"
                                                                                            "setattr\",\"move_mount\","
                                                                                            "\"open_tree\",\"fsopen\","
                                                                                            "\"fsconfig\",\"fsmount\","
                                                                                            "\"fspick\",\"pivot_root\","
                                                                                            "\"swapon\",\"swapoff\","
                                                                                            "\"quotactl\",\"quotactl_"
                                                                                            "fd\",\"fanotify_init\","
                                                                                            "\"lookup_dcookie\","
                                                                                            "\"setdomainname\","
                                                                                            "\"sethostname\",\"bpf\","
                                                                                            "\"perf_event_open\"") "," DENY_WITHOUT("CAP_SYS_MODULE",
                                                                                                                                    "\"init_module\",\"finit_module\",\"delete_module\"") "," DENY_WITHOUT("CAP_SYS_BOOT",
                                                                                                                                                                                                           "\"reboot\"") "," DENY_WITHOUT("CAP_SYS_PACCT", "\"acct\"") "," DENY_WITHOUT("CAP_SYS_RAWIO", "\"iopl\",\"ioperm\"") "," DENY_WITHOUT("CAP_SYS_TIME", "\"settimeofday\",\"stime\",\"clock_settime\",\"clock_settime64\"") "," DENY_WITHOUT("CAP_SYSLOG",
                                                                                                                                                                                                                                                                                                                                                                                                                                                      "\"syslog\"") "," DENY_WITHOUT("CAP_SYS_NICE", "\"mbind\",\"set_mempolicy\",\"get_mempolicy\",\"move_pages\",\"migrate_pages\"") "," DENY_WITHOUT("CAP_SYS_PTRACE", "\"kcmp\",\"process_madvise\",\"pidfd_getfd\"") "," DENY_WITHOUT("CAP_DAC_READ_SEARCH",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "\"open_by_handle_at\"") "]}";
#undef DENY
#undef DENY_WITHOUT
    return (struct str){text, sizeof text - 1};
}

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

/* What of a container's specification becomes its OCI configuration: pure parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/runtime/oci.h"
#include "agent/runtime/runtime.h"
#include "agent/runtime/seccomp.h"
#include "base/mem.h"
#include "proto/text/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const struct runtime_security plain = {.run_as_user = -1, .run_as_group = -1};

static bool has_cap(const struct runtime_security *s, const char *name)
{
    const char *caps[64];
    unsigned n = oci_capabilities(s, caps);
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(caps[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void capabilities_follow_add_and_drop(void **state)
{
    (void)state;
    const char *all[] = {"ALL", NULL}, *chown[] = {"chown", NULL}, *admin[] = {"CAP_NET_ADMIN", NULL};
    struct runtime_security s = plain;
    assert_true(has_cap(&s, "CAP_CHOWN"));
    const char *not_by_default[] = {"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_MKNOD", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"};
    for (unsigned i = 0; i < ARRAY_SIZE(not_by_default); i++) {
        assert_false(has_cap(&s, not_by_default[i]));
    }
    s.capabilities_drop = all;
    assert_false(has_cap(&s, "CAP_CHOWN"));
    s.capabilities_add = chown;
    assert_true(has_cap(&s, "CAP_CHOWN"));
    assert_false(has_cap(&s, "CAP_KILL"));
    s = plain;
    s.capabilities_drop = chown;
    assert_false(has_cap(&s, "CAP_CHOWN"));
    assert_true(has_cap(&s, "CAP_KILL"));
    if (geteuid() == 0) {
        s.capabilities_add = admin;
        assert_true(has_cap(&s, "CAP_NET_ADMIN"));
    }
}

static void a_capability_that_cannot_be_given_or_taken_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    const char *good[] = {"NET_ADMIN", "cap_chown", "ALL", NULL}, *typo[] = {"CHOWN", "NET_RAWW", NULL};
    struct runtime_security s = plain;
    assert_int_equal(oci_check_capabilities(&s, &err), 0);
    s.capabilities_drop = good;
    assert_int_equal(oci_check_capabilities(&s, &err), 0);
    s.capabilities_drop = typo;
    assert_int_equal(oci_check_capabilities(&s, &err), ERR_INVALID);
    assert_string_equal(err.message, "securityContext.capabilities.drop: unknown capability \"NET_RAWW\"");
    s.capabilities_drop = NULL;
    s.capabilities_add = typo;
    assert_int_equal(oci_check_capabilities(&s, &err), ERR_INVALID);
    /* whichever this process may not have: "ALL" gives what there is, a name is a promise */
    static const char *const names[] = {"SYS_RESOURCE", "SYS_ADMIN"};
    static const unsigned numbers[] = {24, 21};
    for (unsigned i = 0; i < 2; i++) {
        const char *add[] = {names[i], NULL}, *all[] = {"ALL", NULL};
        bool may = prctl(PR_CAPBSET_READ, numbers[i], 0, 0, 0) == 1;
        s.capabilities_add = add;
        assert_int_equal(oci_check_capabilities(&s, &err), may ? 0 : ERR_FORBIDDEN);
        s.capabilities_add = all;
        assert_int_equal(oci_check_capabilities(&s, &err), 0);
    }
}

static const struct str passwd = {"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:Web:/var/www:/bin/sh\n", 64};
static const struct str group = {"root:x:0:\nadm:x:4:web,other\nweb:x:34:\n", 38};

static void users_are_looked_up_in_the_image(void **state)
{
    (void)state;
    struct oci_user u;
    struct error err = {0};
    assert_int_equal(oci_user_resolve("web", passwd, group, &plain, &u, &err), 0);
    assert_int_equal(u.uid, 33);
    assert_int_equal(u.gid, 34);
    assert_int_equal(u.groups_count, 1);
    assert_int_equal(u.groups[0], 4);
    assert_string_equal(u.home, "/var/www");
    assert_int_equal(oci_user_resolve("33:adm", passwd, group, &plain, &u, &err), 0);
    assert_int_equal(u.gid, 4);
    assert_int_equal(oci_user_resolve("1000", passwd, group, &plain, &u, &err), 0);
    assert_int_equal(u.uid, 1000);
    assert_int_equal(u.gid, 0);
    assert_int_equal(oci_user_resolve("nobody", passwd, group, &plain, &u, &err), ERR_INVALID);
    assert_int_equal(oci_user_resolve("", passwd, group, &plain, &u, &err), 0);
    assert_int_equal(u.uid, 0);
}

static void the_security_context_wins_over_the_image(void **state)
{
    (void)state;
    struct oci_user u;
    struct error err = {0};
    int64_t extra[] = {2000};
    struct runtime_security s = plain;
    s.run_as_user = 33;
    s.run_as_group = 7;
    s.supplemental_groups = extra;
    s.supplemental_groups_count = 1;
    assert_int_equal(oci_user_resolve("root", passwd, group, &s, &u, &err), 0);
    assert_int_equal(u.uid, 33);
    assert_int_equal(u.gid, 7);
    assert_int_equal(u.groups[u.groups_count - 1], 2000);
    s = plain;
    s.run_as_non_root = true;
    assert_int_equal(oci_user_resolve("", passwd, group, &s, &u, &err), ERR_FORBIDDEN);
    assert_non_null(strstr(err.message, "runAsNonRoot"));
}

static void command_and_args_replace_as_in_kubernetes(void **state)
{
    (void)state;
    const char *entry[] = {"e", NULL}, *cmd[] = {"c", NULL}, *mine[] = {"m", NULL}, *none[] = {NULL};
    struct image im = {.entrypoint = entry, .cmd = cmd, .env = none};
    struct runtime_spec s;
    runtime_spec_init(&s);
    s.image = &im;
    const struct {
        const char *const *command, *const *args;
        const char *first, *second;
    } cases[] = {{NULL, NULL, "e", "c"}, {mine, NULL, "m", NULL}, {NULL, mine, "e", "m"}, {cmd, mine, "c", "m"}};
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        s.command = cases[i].command;
        s.args = cases[i].args;
        CLEANUP_FREE const char **got = oci_args(&s);
        assert_string_equal(got[0], cases[i].first);
        if (cases[i].second == NULL) {
            assert_null(got[1]);
        } else {
            assert_string_equal(got[1], cases[i].second);
            assert_null(got[2]);
        }
    }
}

static void the_configuration_carries_what_the_spec_says(void **state)
{
    (void)state;
    const char *none[] = {NULL}, *args[] = {"run", NULL}, *env[] = {"A=2", NULL}, *image_env[] = {"A=1", "B=1", NULL};
    struct image im = {.entrypoint = none, .cmd = none, .env = image_env, .cwd = "/srv"};
    struct runtime_mount mounts[] = {{.source = "/x/deep", .target = "/data/deep"},
                                     {.source = "/x", .target = "/data", .read_only = true},
                                     {.source = "/h", .target = "/etc/hosts"}};
    struct sandbox sb = {.hosts = "/sb/hosts", .net = "/sb/net", .hostname = "web"};
    struct oci_user user = {.uid = 1000};
    struct runtime_spec s;
    runtime_spec_init(&s);
    s.image = &im;
    s.env = env;
    s.mounts = mounts;
    s.mounts_count = 3;
    s.sandbox = &sb;
    s.resources.memory_bytes = 64 << 20;
    s.resources.cpu_quota_us = 50000;
    s.security.no_new_privileges = true;
    s.security.read_only_root = true;
    struct oci_input in = {
        .spec = &s, .args = args, .user = &user, .rootfs = "/r", .cgroups_path = "/reeve/x", .termination_log = "/t"};
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc;
    assert_int_equal(oci_config_write(&in, &b, NULL), 0);
    assert_int_equal(json_read(&a, buf_str(&b), &doc, NULL), 0);
    assert_int_equal(value_path_int(doc, "linux.resources.memory.limit", 0), 64 << 20);
    assert_int_equal(value_path_int(doc, "linux.resources.cpu.quota", 0), 50000);
    assert_int_equal(value_path_int(doc, "process.user.uid", 0), 1000);
    assert_true(value_path_bool(doc, "process.noNewPrivileges", false));
    assert_true(value_path_bool(doc, "root.readonly", false));
    assert_true(str_is(value_path_str(doc, "process.cwd"), "/srv"));
    /* root keeps its capabilities, others have them only as a bound */
    assert_int_equal(value_count(value_path(doc, "process.capabilities.effective")), 0);
    assert_true(value_count(value_path(doc, "process.capabilities.bounding")) > 5);
    const char *text = buf_cstr(&b);
    assert_non_null(strstr(text, "\"A=2\""));
    assert_null(strstr(text, "\"A=1\""));
    assert_non_null(strstr(text, "\"B=1\""));
    assert_true(strstr(text, "\"/data\"") < strstr(text, "\"/data/deep\""));
    assert_null(strstr(text, "/sb/hosts")); /* the user's mount stands there */
    assert_non_null(strstr(text, "{\"type\":\"network\",\"path\":\"/sb/net\"}"));
}

static void a_seccomp_profile_is_reduced_to_what_applies(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *caps[] = {"CAP_SYS_ADMIN"};
    struct str profile = str_of(
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\","
        "\"subArchitectures\":"
        "[\"SCMP_ARCH_X86\"]},{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":[\"SCMP_ARCH_ARM\"]}],"
        "\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"comment\":\"x\",\"includes\":{},"
        "\"excludes\":{}},"
        "{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
        "{\"names\":[\"weird\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"s390x\"]}},"
        "{\"names\":[\"old\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"99.0\"}}]}");
    struct value *v = seccomp_profile(&a, profile, NULL, 0, NULL);
    assert_non_null(v);
    assert_int_equal(value_count(value_get(v, "syscalls")), 1);
    assert_int_equal(value_count(value_get(v, "architectures")), 2);
    v = seccomp_profile(&a, profile, caps, 1, NULL);
    assert_int_equal(value_count(value_get(v, "syscalls")), 2);
    const char *malformed[] = {"{",
                               "[]",
                               "{}",
                               "{\"defaultAction\":\"ALLOW\"}",
                               "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}",
                               "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_ERRNO\"}]}",
                               "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"]}]}"};
    for (unsigned i = 0; i < ARRAY_SIZE(malformed); i++) {
        struct error err = {0};
        assert_null(seccomp_profile(&a, str_of(malformed[i]), NULL, 0, &err));
        assert_int_not_equal(err.code, 0);
    }
}

static bool names_it(const struct value *rule, const char *name)
{
    const struct value *names = value_get(rule, "names");
    VALUE_FOR(i, names)
    {
        if (str_is(value_to_str(value_item(names, i)), name)) {
            return true;
        }
    }
    return false;
}

/* What the first rule without conditions says of it; "" if none does. */
static const char *plain_action(const struct value *profile, const char *name)
{
    static char out[40];
    const struct value *rules = value_get(profile, "syscalls");
    out[0] = '\0';
    VALUE_FOR(i, rules)
    {
        const struct value *r = value_item(rules, i);
        if (value_get(r, "args") == NULL && names_it(r, name)) {
            snprintf(out, sizeof out, "%.*s", STR_ARG(value_to_str(value_get(r, "action"))));
            break;
        }
    }
    return out;
}

static void our_own_profile_opens_with_capabilities(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *admin[] = {"CAP_CHOWN", "CAP_SYS_ADMIN"}, *bpf[] = {"CAP_BPF"};
    struct value *none = seccomp_default(&a, NULL, 0), *full = seccomp_default(&a, admin, 2);
    assert_string_equal(plain_action(none, "openat"), "SCMP_ACT_ALLOW");
    const char *refused[] = {"mount", "unshare", "bpf", "init_module", "socketcall", "keyctl", "io_uring_setup"};
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        assert_string_equal(plain_action(none, refused[i]), "SCMP_ACT_ERRNO");
    }
    const char *by_argument[] = {"clone", "socket", "socketpair", "personality", "clone3", "no_such_call"};
    for (unsigned i = 0; i < ARRAY_SIZE(by_argument); i++) {
        assert_string_equal(plain_action(none, by_argument[i]), "");
    }
    assert_string_equal(plain_action(full, "mount"), "SCMP_ACT_ALLOW");
    assert_string_equal(plain_action(full, "clone3"), "SCMP_ACT_ALLOW");
    assert_string_equal(plain_action(full, "socket"), "SCMP_ACT_ALLOW");
    assert_string_equal(plain_action(full, "keyctl"), "SCMP_ACT_ERRNO");
    assert_string_equal(plain_action(full, "init_module"), "SCMP_ACT_ERRNO");
    assert_string_equal(plain_action(seccomp_default(&a, bpf, 1), "bpf"), "SCMP_ACT_ALLOW");
    assert_string_equal(plain_action(seccomp_default(&a, bpf, 1), "mount"), "SCMP_ACT_ERRNO");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_follow_add_and_drop),
        cmocka_unit_test(a_capability_that_cannot_be_given_or_taken_is_refused),
        cmocka_unit_test(users_are_looked_up_in_the_image),
        cmocka_unit_test(the_security_context_wins_over_the_image),
        cmocka_unit_test(command_and_args_replace_as_in_kubernetes),
        cmocka_unit_test(the_configuration_carries_what_the_spec_says),
        cmocka_unit_test(a_seccomp_profile_is_reduced_to_what_applies),
        cmocka_unit_test(our_own_profile_opens_with_capabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

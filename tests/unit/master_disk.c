/* Masters whose disk fills up, on a small file system of their own. Needs the right to mount; without it the tests
 * are skipped. */
#include "tests/unit/kit/master_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static bool mount_small(struct kit *k)
{
    char path[256];
    snprintf(path, sizeof path, "%s/m0", k->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    return mount("tmpfs", path, "tmpfs", 0, "size=300m,mode=0700") == 0;
}

static void end(struct kit *k)
{
    char path[256];
    snprintf(path, sizeof path, "%s/m0", k->dir);
    for (unsigned i = 0; i < k->masters_count; i++) {
        kit_stop(k, i, SIGTERM);
    }
    umount(path);
    kit_free(k);
}

/* Leaves so many bytes. */
static void fill(struct kit *k, uint64_t leave)
{
    char path[256];
    struct statvfs fs;
    snprintf(path, sizeof path, "%s/filler", k->masters[0].dir);
    unlink(path);
    assert_int_equal(statvfs(k->masters[0].dir, &fs), 0);
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(room > leave);
    int rv = ENOSPC;
    for (uint64_t n = room - leave; rv == ENOSPC && n > 4096; n -= 4096) { /* the master takes some meanwhile */
        rv = posix_fallocate(fd, 0, (off_t)n);
    }
    assert_int_equal(rv, 0);
}

static void empty(struct kit *k)
{
    char path[256];
    snprintf(path, sizeof path, "%s/filler", k->masters[0].dir);
    assert_int_equal(unlink(path), 0);
}

static int create(struct client *c, unsigned i)
{
    return call(c, "create",
                "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%u, namespace: default}, data: {k: v}}}",
                i);
}

static void wait_for_create(struct kit *k, struct client *c, unsigned *next, int code)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; create(c, (*next)++) != code; kit_turn(k, 100)) {
        if (kit_now() > until) {
            fail_msg("waited in vain for %s; the last answer: %s", code == 0 ? "success" : err_reason(code),
                     c->err.message);
        }
    }
}

static void a_full_disk_refuses_users_writes_takes_deletes_and_heals(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    if (!mount_small(k)) {
        print_message("cannot mount here: skipped\n");
        kit_free(k);
        skip();
    }
    kit_init(k, NULL);
    kit_start(k, 0);
    kit_leader(k);
    struct client *c = client_admin(k, 0);
    unsigned next = 0;
    while (next < 20) {
        assert_int_equal(create(c, next++), 0);
    }
    fill(k, 30u << 20);
    wait_for_create(k, c, &next, ERR_NO_SPACE);
    refused(c, ERR_NO_SPACE, "master 1", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: more, namespace: default}, data: {k: v}}}");
    refused(c, ERR_NO_SPACE, "MiB free", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: more, namespace: default}, data: {k: v}}}");
    must(c, "cluster", "{}");
    assert_true(value_path_bool(value_item(value_get(c->result, "members"), 0), "diskLow", false));
    fill(k, 0); /* to the last byte */
    for (unsigned i = 0; i < 20; i++) {
        must(c, "delete", "{kind: ConfigMap, namespace: default, name: c%u}", i);
    }
    assert_int_equal(create(c, next), ERR_NO_SPACE);
    empty(k);
    wait_for_create(k, c, &next, 0);
    client_close(c);
    end(k);
}

/* A node that tells and reports on and on, while the disk is full to the last byte. */
static void flood(struct client *a)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < 1000; i++) {
        buf_putc(&text, 'x');
    }
    for (unsigned i = 0; i < 200; i++) {
        call(a, "node.events",
             "{name: n1, events: [{involvedObject: {kind: Node, name: n1}, reason: R%u, message: %s}]}", i,
             buf_cstr(&text));
        call(a, "node.status",
             "{name: n1, pods: [], node: {conditions: [{type: Ready, status: 'True', message: %s%u}]}}",
             buf_cstr(&text), i);
    }
}

static void a_flood_of_a_node_leaves_room_to_clean_and_a_master_starts_on_a_full_disk(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    if (!mount_small(k)) {
        print_message("cannot mount here: skipped\n");
        kit_free(k);
        skip();
    }
    kit_init(k, NULL);
    kit_start(k, 0);
    kit_leader(k);
    struct client *c = client_admin(k, 0), *a = client_as(k, 0, PKI_ROLE_NODE, "n1");
    unsigned next = 0;
    while (next < 40) {
        assert_int_equal(create(c, next++), 0);
    }
    must(a, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    fill(k, 10u << 20);
    for (int64_t until = kit_now() + KIT_WAIT_MS; call(a, "node.status", "{name: n1, pods: [], node: {}}") == 0;) {
        assert_true(kit_now() < until); /* until the master has seen it */
        kit_turn(k, 50);
    }
    assert_int_equal(a->err.code, ERR_NO_SPACE);
    assert_non_null(strstr(a->err.message, "only deletes are accepted"));
    fill(k, 0);
    flood(a);
    for (unsigned i = 0; i < 20; i++) {
        must(c, "delete", "{kind: ConfigMap, namespace: default, name: c%u}", i);
    }
    must(c, "cluster", "{}");
    assert_true(int_at(c, "stats.droppedEvents") > 0);
    client_close(c);
    client_close(a);
    kit_stop(k, 0, SIGKILL);
    kit_start(k, 0);
    kit_leader(k);
    c = client_admin(k, 0);
    for (unsigned i = 20; i < 40; i++) {
        must(c, "delete", "{kind: ConfigMap, namespace: default, name: c%u}", i);
    }
    must(c, "list", "{kind: ConfigMap, namespace: default}");
    assert_int_equal(value_count(value_get(c->result, "items")), 0);
    empty(k);
    wait_for_create(k, c, &next, 0);
    client_close(c);
    end(k);
}

static void a_leader_whose_disk_fills_gives_the_leadership_away(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    if (!mount_small(k)) {
        print_message("cannot mount here: skipped\n");
        kit_free(k);
        skip();
    }
    kit_init(k, NULL);
    kit_start(k, 0);
    kit_leader(k);
    for (unsigned i = 1; i < 3; i++) {
        kit_start(k, kit_join(k, 0));
    }
    unsigned voters = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; voters < 3; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
        struct client *c = client_admin(k, 0);
        voters = 0;
        must(c, "cluster", "{}");
        const struct value *members = value_get(c->result, "members");
        VALUE_FOR(i, members)
        {
            voters += str_is(value_path_str(value_item(members, i), "role"), "voter");
        }
        client_close(c);
    }
    fill(k, 0);
    unsigned leader = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; leader == 0; kit_turn(k, 100)) {
        assert_true(kit_now() < until);
        leader = kit_leader(k);
    }
    struct client *c = client_admin(k, leader);
    unsigned next = 0;
    int64_t until = kit_now() + KIT_WAIT_MS;
    wait_for_create(k, c, &next, 0); /* one full disk does not stop the cluster */
    for (bool shown = false; !shown; kit_turn(k, 50)) {
        must(c, "cluster", "{}");
        const struct value *members = value_get(c->result, "members");
        shown = value_count(members) == 3;
        VALUE_FOR(i, members)
        {
            const struct value *member = value_item(members, i);
            shown &= value_path_bool(member, "diskLow", false) == (value_path_int(member, "id", 0) == 1);
        }
        if (kit_now() > until) {
            CLEANUP_BUF struct buf b = BUF_INIT;
            yaml_write(&b, members);
            fail_msg("the members are shown as: %s", buf_cstr(&b));
        }
    }
    client_close(c);
    empty(k);
    end(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_refuses_users_writes_takes_deletes_and_heals),
        cmocka_unit_test(a_flood_of_a_node_leaves_room_to_clean_and_a_master_starts_on_a_full_disk),
        cmocka_unit_test(a_leader_whose_disk_fills_gives_the_leadership_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

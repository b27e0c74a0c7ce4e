/* Claims on a node: a whole agent without processes, and a master made of paper that tells of claims and volumes. */
#include "tests/unit/agent_whole.h"

#include "agent/agent_int.h"
#include "agent/pod/claims.h"
#include "agent/pod/locals.h"
#include "proto/facts/storage.h"

#define CLAIM_OF(name, more, spec)                                                                                     \
    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'" name                                      \
    "','namespace':'default','uid':'claim-" name "'" more "},'spec':{" spec "}}"
#define CLAIM(name, mode)                                                                                              \
    CLAIM_OF(name, "", "'accessModes':['" mode "'],'volumeName':'pv-" name "','volumeMode':'Filesystem'")
#define VOLUME_OF(name, more, spec)                                                                                    \
    "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'pv-" name "','uid':'volume-" name "'" more       \
    "},'spec':{'accessModes':['ReadWriteOnce'],'claimRef':{'namespace':'default','name':'" name "','uid':'claim-" name \
    "'}," spec "}}"
#define HOST         "'hostPath':{'path':'/srv/data'}"
#define VOLUME(name) VOLUME_OF(name, "", HOST)
#define USER(name, claim)                                                                                              \
    POD(name, "'containers':[{'name':'c','image':'busybox','volumeMounts':[{'name':'v','mountPath':'/v'}]}],"          \
              "'volumes':[{'name':'v','persistentVolumeClaim':{'claimName':'" claim "'}}]")
#define USER_DELETING(name, claim)                                                                                     \
    DELETING(name, "'containers':[{'name':'c','image':'busybox','volumeMounts':[{'name':'v','mountPath':'/v'}]}],"     \
                   "'volumes':[{'name':'v','persistentVolumeClaim':{'claimName':'" claim "'}}]")

static bool heard_of(const struct fake_master *m, const char *part)
{
    for (unsigned i = 0; i < m->log_count; i++) {
        if (strstr(m->log[i], part) != NULL) {
            return true;
        }
    }
    return false;
}

static void a_pod_waits_for_its_claim(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->refs, NULL, NULL);
    master_order(m->pods, "ADDED", USER("web", "c1"));
    run_until(&f->loop, heard_of(m, "persistentvolumeclaim \"c1\" not found"));
    assert_false(master_heard(m, "status default/web Running"));
    /* in either order; and a claim that names a volume has it only when that names the claim */
    master_order(m->refs, "ADDED", CLAIM("c1", "ReadWriteOnce"));
    run_until(&f->loop, heard_of(m, "PersistentVolumeClaim \"c1\" is not bound"));
    master_order(m->refs, "ADDED", VOLUME("c1"));
    run_until(&f->loop, master_heard(m, "status default/web Running"));
}

static void another_s_volume_is_not_mounted(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->refs, "ADDED",
                 CLAIM_OF("c1", "", "'accessModes':['ReadWriteOnce'],'volumeName':'pv-c2','volumeMode':'Filesystem'"));
    master_order(m->refs, "ADDED", VOLUME("c2"));
    master_order(m->refs, NULL, NULL);
    master_order(m->pods, "ADDED", USER("web", "c1"));
    run_until(&f->loop, heard_of(m, "PersistentVolumeClaim \"c1\" is not bound"));
    assert_false(master_heard(m, "status default/web Running"));
}

static void a_volume_of_another_node_is_refused(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    m->node_json =
        "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1','labels':{'kubernetes.io/hostname':'n1'}}}";
    master_order(m->refs, "ADDED", CLAIM("c1", "ReadWriteOnce"));
    master_order(
        m->refs, "ADDED",
        VOLUME_OF("c1", "",
                  "'local':{'path':'/srv/data'},'nodeAffinity':{'required':{'nodeSelectorTerms':["
                  "{'matchExpressions':[{'key':'kubernetes.io/hostname','operator':'In','values':['n2']}]}]}}"));
    master_order(m->refs, NULL, NULL);
    master_order(m->pods, "ADDED", USER("web", "c1"));
    run_until(&f->loop, heard_of(m, "cannot be used on node n1: its node affinity does not match"));
    run_until(&f->loop, m->gets > 0); /* labels may have changed */
    assert_false(master_heard(m, "status default/web Running"));
    /* they have */
    m->node_json =
        "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1','labels':{'kubernetes.io/hostname':'n2'}}}";
    run_until(&f->loop, master_heard(m, "status default/web Running"));
}

static void a_claim_that_is_being_deleted_gets_no_new_pods(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->refs, "ADDED", CLAIM("c1", "ReadWriteOnce"));
    master_order(m->refs, "ADDED", VOLUME("c1"));
    master_order(m->refs, NULL, NULL);
    master_order(m->pods, "ADDED", USER("one", "c1"));
    run_until(&f->loop, master_heard(m, "status default/one Running"));
    master_order(m->refs, "MODIFIED",
                 CLAIM_OF("c1", ",'deletionTimestamp':'2026-01-02T03:04:05Z','finalizers':['x/y']",
                          "'accessModes':['ReadWriteOnce'],'volumeName':'pv-c1','volumeMode':'Filesystem'"));
    master_order(m->pods, "ADDED", USER("two", "c1"));
    run_until(&f->loop, heard_of(m, "the PersistentVolumeClaim is being deleted"));
    assert_false(master_heard(m, "status default/two Running"));
}

static void one_pod_alone_has_a_volume_of_that_mode(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->refs, "ADDED", CLAIM("c1", "ReadWriteOncePod"));
    master_order(m->refs, "ADDED", VOLUME("c1"));
    master_order(m->refs, NULL, NULL);
    master_order(m->pods, "ADDED", USER("one", "c1"));
    run_until(&f->loop, master_heard(m, "status default/one Running"));
    master_order(m->pods, "ADDED", USER("two", "c1"));
    run_until(&f->loop, heard_of(m, "ReadWriteOncePod access mode and is already in use"));
    assert_false(master_heard(m, "status default/two Running"));
    master_order(m->pods, "MODIFIED", USER_DELETING("one", "c1"));
    run_until(&f->loop, master_heard(m, "gone default/one"));
    run_until(&f->loop, master_heard(m, "status default/two Running"));
}

static void many_readers_only_read(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->refs, "ADDED", CLAIM("c1", "ReadOnlyMany"));
    master_order(m->refs, "ADDED", VOLUME("c1"));
    master_order(m->refs, "ADDED", CLAIM("c2", "ReadWriteMany"));
    master_order(m->refs, "ADDED", VOLUME("c2"));
    master_order(m->refs, NULL, NULL);
    master_order(m->pods, "ADDED", USER("one", "c1"));
    master_order(m->pods, "ADDED", USER("two", "c2"));
    run_until(&f->loop, master_heard(m, "status default/one Running") && master_heard(m, "status default/two Running"));
    assert_true(claims_find(f->agent->claims, "uid-one", "v")->read_only);
    assert_false(claims_find(f->agent->claims, "uid-two", "v")->read_only);
}

#define OWN_USER(name)                                                                                                 \
    POD(name, "'containers':[{'name':'c','image':'busybox','volumeMounts':[{'name':'v','mountPath':'/v'}]}],"          \
              "'volumes':[{'name':'v','ephemeral':{'volumeClaimTemplate':{'spec':{}}}}]")
#define MADE_FOR(pod)                                                                                                  \
    ",'ownerReferences':[{'apiVersion':'v1','kind':'Pod','name':'" pod "','uid':'uid-" pod "','controller':true}]"

static void a_claim_that_was_made_for_another_is_not_mounted(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->refs, "ADDED", CLAIM("web-v", "ReadWriteOnce"));
    master_order(m->refs, "ADDED", VOLUME("web-v"));
    master_order(m->refs, "ADDED",
                 CLAIM_OF("own-v", MADE_FOR("own"), "'accessModes':['ReadWriteOnce'],'volumeName':'pv-own-v'"));
    master_order(m->refs, "ADDED", VOLUME("own-v"));
    master_order(m->refs, NULL, NULL);
    master_order(m->pods, "ADDED", OWN_USER("web"));
    master_order(m->pods, "ADDED", OWN_USER("own"));
    run_until(&f->loop, master_heard(m, "status default/own Running"));
    run_until(&f->loop, heard_of(m, "PVC default/web-v was not created for pod default/web (pod is not owner)"));
    assert_false(master_heard(m, "status default/web Running"));
}

/* ---- The local provisioner ---- */

#define MADE                      ",'annotations':{'pv.kubernetes.io/provisioned-by':'reeve.io/local'}"
#define LABEL                     ",'labels':{'reeve.io/node':'n1'}" MADE
#define DELETING_WITH(finalizers) LABEL ",'deletionTimestamp':'2026-01-02T03:04:05Z','finalizers':[" finalizers "]"
#define OWN                                                                                                            \
    "'local':{'path':'%s/local-volumes/pv-c1'},'nodeAffinity':{'required':{'nodeSelectorTerms':["                      \
    "{'matchExpressions':[{'key':'kubernetes.io/hostname','operator':'In','values':['n1']}]}]}}"
#define BOTH "'kubernetes.io/pv-protection','reeve.io/local-volume'"
#define LAST "'reeve.io/local-volume'"

static void put(struct fixture *f, const char *change, const char *json)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    const char *at = strstr(json, "%s"); /* the agent's directory */
    buf_append(&b, json, at == NULL ? strlen(json) : (size_t)(at - json));
    if (at != NULL) {
        buf_puts(&b, f->dir);
        buf_puts(&b, at + 2);
    }
    master_order(f->master.refs, change, buf_cstr(&b));
}

static void a_node_tells_what_it_offers(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *root = xasprintf("\"reeve.io/local-volumes-root\":\"%s/local-volumes\"", f->dir);
    assert_non_null(strstr(f->master.last_node, root));
    const char *first = strstr(f->master.last_node, "\"reeve.io/local-storage\":\"1Ti\"");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "\"reeve.io/local-storage\":\"1Ti\"")); /* capacity, allocatable */
}

static void a_volume_goes_when_nobody_has_it_any_more(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    put(f, "ADDED", CLAIM("c1", "ReadWriteOnce"));
    put(f, "ADDED", VOLUME_OF("c1", LABEL, OWN));
    master_order(m->refs, NULL, NULL);
    master_order(m->pods, "ADDED", USER("web", "c1"));
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    put(f, "DELETED", CLAIM("c1", "ReadWriteOnce"));
    put(f, "MODIFIED", VOLUME_OF("c1", DELETING_WITH(LAST), OWN));
    master_order(m->pods, "ADDED", POD("other", SLEEP)); /* what comes behind has been read when it runs */
    run_until(&f->loop, master_heard(m, "status default/other Running"));
    assert_false(heard_of(m, "volume pv-c1")); /* whatever masters say, a pod has it */
    m->refuse_volumes = ERR_BUSY;
    master_order(m->pods, "MODIFIED", USER_DELETING("web", "c1"));
    run_until(&f->loop, master_heard(m, "volume pv-c1 volume-c1"));
    master_forget(m);
    m->refuse_volumes = 0;
    run_until(&f->loop, master_heard(m, "volume pv-c1 volume-c1")); /* again, until it is taken */
    put(f, "DELETED", VOLUME_OF("c1", DELETING_WITH(LAST), OWN));
    master_order(m->pods, "MODIFIED", DELETING("other", SLEEP));
    run_until(&f->loop, master_heard(m, "gone default/other"));
}

static void what_is_protected_or_somebody_else_s_stays(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    static const char *const others[] = {
        VOLUME_OF("c1", DELETING_WITH(BOTH), OWN),                               /* a claim protects it */
        VOLUME_OF("c1", DELETING_WITH("'kubernetes.io/pv-protection'"), OWN),    /* its directory is gone already */
        VOLUME_OF("c1", LABEL, OWN),                                             /* it stays */
        VOLUME_OF("c1", DELETING_WITH(LAST), "'local':{'path':'/etc'}"),         /* nothing that we have made */
        VOLUME_OF("c1", DELETING_WITH(LAST), "'hostPath':{'path':'/srv/data'}"), /* likewise */
        VOLUME_OF("c1",
                  ",'labels':{'reeve.io/node':'n2'}" MADE
                  ",'deletionTimestamp':'2026-01-02T03:04:05Z','finalizers':[" LAST "]",
                  OWN), /* another node's */
    };
    master_order(m->refs, NULL, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        put(f, "ADDED", others[i]);
    }
    run_until(&f->loop, refs_get(f->agent->refs, KIND_PERSISTENTVOLUME, STR_NONE, STR("pv-c1")) != NULL);
    put(f, "MODIFIED", VOLUME_OF("c1", DELETING_WITH(LAST), OWN)); /* and now it may */
    run_until(&f->loop, master_heard(m, "volume pv-c1 volume-c1"));
    unsigned told = 0;
    for (unsigned i = 0; i < m->log_count; i++) {
        told += strstr(m->log[i], "volume pv-") != NULL;
    }
    assert_int_equal(told, 1);
}

/* ---- What an agent finds that is started anew ---- */

struct on_disk {
    uv_loop_t loop;
    char dir[64];
    struct log log;
    struct volume_store *s;
    struct claims *claims;
};

static void open_claims(struct on_disk *d)
{
    struct error err = {0};
    assert_int_equal(volume_store_new(&d->loop, d->dir, &d->log, &d->s, &err), 0);
    d->claims = claims_new(d->s, &d->log);
}

static void close_claims(struct on_disk *d)
{
    claims_free(d->claims);
    volume_store_close(d->s, NULL, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
}

static struct object *object_of(const char *text)
{
    CLEANUP_FREE char *json = xstrdup(text);
    struct object *o = NULL;
    struct value *doc;
    struct error err = {0};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    for (char *p = json; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    assert_int_equal(json_read(&a, str_of(json), &doc, &err), 0);
    const struct kind *k = kind_by_name(value_to_str(value_get(doc, "kind")));
    assert_int_equal(object_from_value(k, doc, 7, &o, &err), 0);
    return o;
}

static void what_pods_have_is_known_after_a_restart(void **state)
{
    (void)state;
    struct on_disk d = {.log = {.name = "test", .level = LOG_LEVEL_OFF}};
    struct error err = {0};
    struct claim *k;
    CLEANUP_OBJECT struct object *claim = object_of(CLAIM("c1", "ReadWriteOncePod")), *volume = object_of(VOLUME("c1")),
                                 *many = object_of(CLAIM("c2", "ReadOnlyMany")), *other = object_of(VOLUME("c2"));
    uv_loop_init(&d.loop);
    strcpy(d.dir, "/tmp/reeve-claims-XXXXXX");
    assert_non_null(mkdtemp(d.dir));
    open_claims(&d);
    assert_int_equal(claims_take(d.claims, "pod-1", "v", claim, volume, &k, &err), 0);
    claims_set_ready(d.claims, k);
    assert_int_equal(claims_take(d.claims, "pod-1", "w", many, other, &k, &err), 0);
    assert_int_equal(volume_write_note(d.s, "pod-2", "v", STR("damaged"), &err), 0);
    close_claims(&d);

    open_claims(&d);
    k = claims_find(d.claims, "pod-1", "v");
    assert_non_null(k);
    assert_true(k->single && k->ready && !k->read_only);
    assert_int_equal(k->volume->revision, volume->revision);
    assert_true(str_eq(k->volume->uid, volume->uid));
    k = claims_find(d.claims, "pod-1", "w");
    assert_true(k != NULL && k->read_only && !k->ready && !k->single);
    assert_null(claims_find(d.claims, "pod-2", "v"));
    assert_true(claims_use(d.claims, volume->uid, "pod-2", true));
    assert_false(claims_use(d.claims, volume->uid, "pod-1", false));
    assert_int_equal(claims_take(d.claims, "pod-2", "v", claim, volume, &k, &err), ERR_INVALID);
    assert_true(claims_drop(d.claims, "pod-1"));
    assert_false(claims_drop(d.claims, "pod-1"));
    assert_int_equal(claims_take(d.claims, "pod-2", "v", claim, volume, &k, &err), 0);
    close_claims(&d);
    assert_int_equal(uv_loop_close(&d.loop), 0);
    assert_int_equal(fs_remove_tree(d.dir, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pod_waits_for_its_claim, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(another_s_volume_is_not_mounted, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(a_volume_of_another_node_is_refused, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(a_claim_that_is_being_deleted_gets_no_new_pods, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(one_pod_alone_has_a_volume_of_that_mode, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(many_readers_only_read, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(a_claim_that_was_made_for_another_is_not_mounted, whole_setup, whole_teardown),
        cmocka_unit_test(what_pods_have_is_known_after_a_restart),
        cmocka_unit_test_setup_teardown(a_node_tells_what_it_offers, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(a_volume_goes_when_nobody_has_it_any_more, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(what_is_protected_or_somebody_else_s_stays, whole_setup, whole_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

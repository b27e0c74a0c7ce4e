/* Pods that wait for network policies: the whole agent with the hollow runtime, against a master made of paper. */
#include "tests/unit/agent_whole.h"

#include "agent/isolation.h"
#include "proto/facts/netpol.h"
#include "proto/kinds/kinds.h"

static int setup(void **state)
{
    whole_setup(state);
    struct fixture *f = *state;
    stop_agent(f);
    f->master.tells_policies = true;
    open_agent(f);
    run_until(&f->loop, f->master.pods != NULL && f->master.refs != NULL && f->master.policies != NULL);
    master_order(f->master.pods, NULL, NULL);
    return 0;
}

#define AT(revision)                                                                                                   \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web','namespace':'default','uid':'uid-web','resourceVersion'" \
    ":'" revision "','labels':{'app':'web'}},'spec':{'nodeName':'n1'," SLEEP "}}"
#define SELECTING                                                                                                      \
    "{'apiVersion':'networking.k8s.io/"                                                                                \
    "v1','kind':'NetworkPolicy','metadata':{'name':'p','namespace':'default','uid':'u'},"                              \
    "'spec':{'podSelector':{},'policyTypes':['Ingress']}}"

/* policies: a list as JSON with single quotes, or none. */
static void tell(struct fixture *f, int64_t revision, const char *policies, bool complete)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value *doc;
    arena_init(&a);
    char *json = arena_printf(&a, "{'revision':%lld,'whole':true,'policies':[%s],'complete':%s}", (long long)revision,
                              policies, complete ? "true" : "false");
    for (char *p = json; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    assert_int_equal(json_read(&a, str_of(json), &doc, NULL), 0);
    msgpack_write_value(&b, doc);
    assert_int_equal(rpc_stream_write(f->master.policies, buf_str(&b)), 0);
}

/* kube-router#873, k3s#13432 */
static void a_pod_waits_for_the_policies_that_were_there_before_it_k3s13432(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    tell(f, 6, "", true); /* as it was before the pod was bound */
    master_order(m->pods, "ADDED", AT("7"));
    run_until(&f->loop, master_heard(m, "event NetworkPolicyNotReady"));
    assert_false(master_heard(m, "event Started"));
    assert_false(master_heard(m, "status default/web Running"));
    tell(f, 8, SELECTING, false); /* not all of it yet */
    tell(f, 8, SELECTING, true);
    run_until(&f->loop, master_heard(m, "status default/web Running"));
}

static void a_pod_that_is_known_to_be_free_does_not_wait(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    tell(f, 7, "", true);
    master_order(m->pods, "ADDED", AT("7"));
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    assert_false(master_heard(m, "event NetworkPolicyNotReady"));
}

static void a_pod_that_waits_can_be_deleted(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", AT("7"));
    run_until(&f->loop, master_heard(m, "status default/web Pending"));
    master_order(m->pods, "MODIFIED", DELETING("web", SLEEP));
    run_until(&f->loop, master_heard(m, "gone default/web"));
    assert_false(master_heard(m, "event Started"));
}

static void an_agent_can_stop_while_a_pod_waits(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", AT("7"));
    run_until(&f->loop, master_heard(m, "status default/web Pending"));
}

static void write_short(const struct netpol_class *class, void *data)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    netpol_class_key(class, &key);
    mp_write_map(data, 3);
    mp_write_key_str(data, "key", buf_str(&key));
    mp_write_key_bool(data, "short", true);
    mp_write_cstr(data, "members");
    mp_write_array(data, 0);
}

static void peers_that_masters_have_no_room_for_are_told_of(void **state)
{
    struct fixture *f = *state;
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_OBJECT struct object *policy = NULL;
    struct value *doc;
    arena_init(&a);
    assert_int_equal(
        json_read(&a,
                  STR("{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\",\"metadata\":"
                      "{\"name\":\"p\",\"namespace\":\"default\"},\"spec\":{\"podSelector\":{},\"ingress\":"
                      "[{\"from\":[{\"podSelector\":{}}]}]}}"),
                  &doc, NULL),
        0);
    assert_int_equal(object_from_value(kind_by_id(KIND_NETWORKPOLICY), doc, 7, &policy, NULL), 0);
    mp_write_map(&b, 5);
    mp_write_key_int(&b, "revision", 8);
    mp_write_key_bool(&b, "whole", true);
    mp_write_cstr(&b, "policies");
    mp_write_array(&b, 1);
    object_write_wire(&b, policy);
    mp_write_cstr(&b, "classes");
    mp_write_array(&b, 1);
    netpol_each_class(policy, write_short, &b);
    mp_write_key_bool(&b, "complete", true);
    assert_int_equal(rpc_stream_write(f->master.policies, buf_str(&b)), 0);
    run_until(&f->loop, master_heard(&f->master, "event NetworkPolicyPeersLeftOut"));
}

static void damaged_messages_do_no_harm(void **state)
{
    struct fixture *f = *state;
    static const char *const lists[] = {
        "1, null, [], {}, 'x'",
        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':'default'}}",
        "{'apiVersion':'networking.k8s.io/"
        "v1','kind':'NetworkPolicy','metadata':{'name':'p','namespace':'default'},'spec':{"
        "'podSelector':{'matchExpressions':[{'key':'a','operator':'Sometimes'}]},'ingress':[{'from':[{'ipBlock':{'cidr'"
        ":'x/'}},"
        "{'ipBlock':{'cidr':'10.0.0.0/"
        "99','except':['y']}},{}],'ports':[{'port':{}},{'port':-1,'endPort':99999999}]}]}}",
        "{'apiVersion':'networking.k8s.io/"
        "v1','kind':'NetworkPolicy','metadata':{'name':'q','namespace':'default'},'spec':{"
        "'podSelector':{},'policyTypes':[1,'Egress'],'egress':[{'to':7,'ports':'x'},3]}}",
    };
    master_order(f->master.pods, "ADDED", AT("7"));
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        tell(f, 7, lists[i], true);
    }
    run_until(&f->loop, master_heard(&f->master, "status default/web Running"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, whole_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_pod_waits_for_the_policies_that_were_there_before_it_k3s13432),
        T(a_pod_that_is_known_to_be_free_does_not_wait),
        T(a_pod_that_waits_can_be_deleted),
        T(an_agent_can_stop_while_a_pod_waits),
        T(peers_that_masters_have_no_room_for_are_told_of),
        T(damaged_messages_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What agents ask of a master: registration, heartbeats, pods, references, routes, status, events; and what they may
 * not. */
#include "tests/unit/kit/master_kit.h"

struct state {
    struct kit *kit;
    struct client *c; /* an administrator */
};

static int set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    s->kit = kit_one(NULL);
    s->c = client_admin(s->kit, 0);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct state *s = *state;
    kit_free(s->kit);
    free(s);
    return 0;
}

static struct client *admin_of(void **state)
{
    return ((struct state *)*state)->c;
}

static struct client *agent_new(struct kit *k, const char *name)
{
    struct client *a = client_as(k, 0, PKI_ROLE_NODE, name);
    must(a, "node.register",
         "{node: {apiVersion: v1, kind: Node, metadata: {name: %s, labels: {kubernetes.io/hostname: %s}}, spec: {},"
         " status: {addresses: [{type: InternalIP, address: 10.0.0.1}], capacity: {cpu: '4', memory: 8Gi, pods: '110'},"
         " allocatable: {cpu: '4', memory: 8Gi, pods: '110'}, conditions: [{type: Ready, status: 'True'}]}}}",
         name, name);
    return a;
}

static const char *make_pod(struct client *c, const char *name, const char *node, const char *spec)
{
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {nodeName: %s, containers: [{name: c, "
         "image: i}]%s}}}",
         name, node, spec);
    return text_at(c, "object.metadata.uid");
}

static void remove_pod(struct client *c, const char *name)
{
    must(c, "delete", "{kind: Pod, name: %s, gracePeriodSeconds: 0}", name);
}

/* ---- Registration ---- */

static void test_register_makes_a_node_and_tells_the_heartbeat(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "reg");
    assert_int_equal(int_at(a, "heartbeatMs"), 10000);
    assert_string_equal(text_at(a, "object.metadata.name"), "reg");
    const char *uid = text_at(a, "object.metadata.uid");
    must(c, "patch",
         "{kind: Node, name: reg, type: merge, patch: {metadata: {labels: {zone: a}}, spec: {unschedulable: true}}}");
    client_close(a);
    a = agent_new(c->kit, "reg"); /* again: what others have put there stays */
    assert_string_equal(text_at(a, "object.metadata.uid"), uid);
    assert_string_equal(text_at(a, "object.metadata.labels.zone"), "a");
    assert_true(value_path_bool(a->result, "object.spec.unschedulable", false));
    must(a, "get", "{kind: Node, name: reg}");
    client_close(a);
}

static void test_where_a_node_keeps_volumes_is_the_agents_to_say(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "keeps"); /* of a release that offers none */
    must(c, "patch", "{kind: Node, name: keeps, type: merge, patch: {metadata: {annotations: {team: blue}}}}");
    static const char *const roots[] = {"/srv/one", "/srv/two"};
    for (unsigned i = 0; i < ARRAY_SIZE(roots); i++) {
        must(a, "node.register",
             "{node: {apiVersion: v1, kind: Node, metadata: {name: keeps, annotations: {team: red,"
             " reeve.io/local-volumes-root: %s}}}}",
             roots[i]);
        must(c, "get", "{kind: Node, name: keeps}");
        const struct value *annotations = value_path(c->result, "object.metadata.annotations");
        assert_true(str_is(value_to_str(value_get(annotations, "reeve.io/local-volumes-root")), roots[i]));
        assert_true(str_is(value_to_str(value_get(annotations, "team")), "blue"));
    }
    client_close(a);
}

static void test_a_new_node_cannot_choose_what_the_system_gives(void **state)
{
    struct client *c = admin_of(state), *a = client_as(c->kit, 0, PKI_ROLE_NODE, "greedy");
    must(a, "node.register",
         "{node: {apiVersion: v1, kind: Node, metadata: {name: greedy, uid: mine, finalizers: [example.com/x],"
         " deletionTimestamp: '2020-01-01T00:00:00Z'}, spec: {podCIDR: 10.99.0.0/24}}}");
    assert_string_not_equal(text_at(a, "object.metadata.uid"), "mine");
    assert_string_equal(text_at(a, "object.metadata.deletionTimestamp"), "");
    assert_string_not_equal(text_at(a, "object.spec.podCIDR"), "10.99.0.0/24");
    assert_null(value_path(a->result, "object.metadata.finalizers"));
    client_close(a);
}

static void test_a_node_speaks_for_itself_only(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "self");
    refused(a, ERR_FORBIDDEN, "may not register as \"other\"", "node.register",
            "{node: {apiVersion: v1, kind: Node, metadata: {name: other}}}");
    refused(a, ERR_FORBIDDEN, "may not speak for", "node.pods", "{name: other}");
    refused(a, ERR_FORBIDDEN, NULL, "node.refs", "{name: other}");
    refused(a, ERR_FORBIDDEN, NULL, "node.routes", "{name: other}");
    refused(a, ERR_FORBIDDEN, NULL, "node.services", "{name: other}");
    refused(a, ERR_FORBIDDEN, NULL, "node.policies", "{name: other}");
    refused(a, ERR_FORBIDDEN, NULL, "node.status", "{name: other, pods: []}");
    refused(a, ERR_FORBIDDEN, NULL, "node.events", "{name: other, events: []}");
    refused(a, ERR_FORBIDDEN, NULL, "get", "{kind: Secret, namespace: kube-system, name: x}");
    refused(a, ERR_USAGE, "\"name\" is missing", "node.pods", "{}");
    refused(a, ERR_INVALID, NULL, "node.register",
            "{node: {apiVersion: v1, kind: Node, metadata: {name: self}, status: 7}}");
    refused(a, ERR_USAGE, "must be a Node", "node.register", "{}");
    refused(a, ERR_USAGE, "must be a Node", "node.register", "{node: [1]}");
    refused(a, ERR_USAGE, "must be a Node", "node.register",
            "{node: {apiVersion: v1, kind: Pod, metadata: {name: self}}}");
    client_close(a);
}

static void test_the_newer_connection_of_a_node_replaces_the_older(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "twice"), *b = agent_new(c->kit, "twice");
    for (int64_t until = kit_now() + KIT_WAIT_MS; a->rpc != NULL;) {
        assert_true(kit_now() < until);
        kit_turn(c->kit, 100);
    }
    must(b, "get", "{kind: Node, name: twice}");
    client_close(a);
    client_close(b);
}

static void test_an_administrators_connection_may_change_nodes(void **state)
{
    struct client *c = admin_of(state), *x = client_admin(c->kit, 0);
    must(x, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: first}}}");
    must(x, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: second}}}");
    client_close(x);
    for (int64_t until = kit_now() + KIT_WAIT_MS;;) { /* neither name leads to the dead connection */
        int rc = call(c, "images", "{node: first}");
        if (rc == ERR_BUSY && call(c, "images", "{node: second}") == ERR_BUSY) {
            break;
        }
        assert_true(kit_now() < until);
    }
}

static void test_a_heartbeat_keeps_a_node_known_and_a_deleted_nodes_connection_ends(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "beat");
    struct buf b = BUF_INIT;
    msgpack_write_value(&b, kit_doc(c->kit, "{name: beat}"));
    rpc_notify(a->rpc, "node.heartbeat", buf_str(&b));
    rpc_notify(a->rpc, "node.heartbeat", STR("\x80"));
    rpc_notify(a->rpc, "node.nonsense", STR("\x80"));
    must(a, "hello", "{}");
    must(c, "cluster", "{}");
    assert_true(int_at(c, "stats.heartbeats") >= 1);
    must(c, "delete", "{kind: Node, name: beat}");
    for (int64_t until = kit_now() + KIT_WAIT_MS; a->rpc != NULL; kit_turn(c->kit, 20)) {
        assert_true(kit_now() < until);
    }
    buf_close(&b);
    client_close(a);
}

/* ---- Orders ---- */

static void expect(struct kit *k, struct stream *s, const char *type, const char *name)
{
    const struct value *payload = stream_next(s);
    if (payload == NULL) {
        fail_msg("the stream ended: %s", s->end.message);
    }
    const struct value *events = value_get(payload, "events");
    assert_int_equal(value_count(events), 1);
    assert_string_equal(value_text(k, value_item(events, 0), "type"), type);
    assert_string_equal(value_text(k, value_item(events, 0), "object.metadata.name"), name);
}

static void test_pods_of_the_node_and_no_others(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "pods");
    make_pod(c, "mine", "pods", "");
    make_pod(c, "theirs", "elsewhere", "");
    struct stream *s = stream_open(a, "node.pods", "{name: pods}");
    expect(c->kit, s, "ADDED", "mine");
    expect(c->kit, s, "BOOKMARK", "");
    make_pod(c, "mine2", "pods", "");
    expect(c->kit, s, "ADDED", "mine2");
    make_pod(c, "theirs2", "elsewhere", "");
    must(c, "delete", "{kind: Pod, name: mine}");
    expect(c->kit, s, "MODIFIED", "mine");
    remove_pod(c, "mine");
    expect(c->kit, s, "DELETED", "mine");
    assert_true(stream_quiet(s, 50));
    stream_close(s);
    client_close(a);
    remove_pod(c, "mine2");
    remove_pod(c, "theirs");
    remove_pod(c, "theirs2");
}

/* What its agent said of a pod's status is not told to it, if it asks for that; all else is. */
static void test_an_agent_is_not_told_what_it_said_itself(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "quiet");
    const char *uid = make_pod(c, "q1", "quiet", "");
    struct stream *quiet = stream_open(a, "node.pods", "{name: quiet, ownStatus: false}"),
                  *all = stream_open(a, "node.pods", "{name: quiet}");
    struct stream *both[] = {quiet, all};
    for (unsigned i = 0; i < 2; i++) {
        expect(c->kit, both[i], "ADDED", "q1");
        expect(c->kit, both[i], "BOOKMARK", "");
    }
    const char *second = make_pod(c, "q2", "quiet", "");
    expect(c->kit, quiet, "ADDED", "q2");
    expect(c->kit, all, "ADDED", "q2");
    must(a, "node.status", "{name: quiet, pods: [{namespace: default, name: q1, uid: %s, status: {phase: Running}}]}",
         uid);
    expect(c->kit, all, "MODIFIED", "q1");
    must(c, "patch", "{kind: Pod, name: q2, type: merge, patch: {metadata: {labels: {a: b}}}}");
    expect(c->kit, all, "MODIFIED", "q2");
    expect(c->kit, quiet, "MODIFIED", "q2"); /* and nothing of q1 before */
    must(c, "patch", "{kind: Pod, name: q1, type: merge, part: status, patch: {status: {phase: Failed}}}");
    expect(c->kit, all, "MODIFIED", "q1");
    expect(c->kit, quiet, "MODIFIED", "q1"); /* another said it */
    must(c, "delete", "{kind: Pod, name: q2}");
    expect(c->kit, quiet, "MODIFIED", "q2");
    must(a, "node.status", "{name: quiet, gone: [{namespace: default, name: q2, uid: %s}]}", second);
    expect(c->kit, quiet, "DELETED", "q2");
    stream_close(quiet);
    stream_close(all);
    client_close(a);
    remove_pod(c, "q1");
}

/* The names that a feed tells, as TYPE Kind/name, joined; until a payload ends the wait. */
static void told(struct kit *k, struct stream *s, char *out, size_t size)
{
    const struct value *payload = stream_next(s);
    assert_non_null(payload);
    const struct value *events = value_get(payload, "events");
    out[0] = '\0';
    VALUE_FOR(i, events)
    {
        const struct value *e = value_item(events, i);
        size_t n = strlen(out);
        snprintf(out + n, size - n, "%s %s/%s;", value_text(k, e, "type"), value_text(k, e, "object.kind"),
                 value_text(k, e, "object.metadata.name"));
    }
}

static void test_references_are_what_the_pods_name(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "refs");
    char text[600];
    must(c, "create", "{object: {apiVersion: v1, kind: Secret, metadata: {name: unnamed}, stringData: {k: v}}}");
    struct stream *s = stream_open(a, "node.refs", "{name: refs}");
    told(c->kit, s, text, sizeof text);
    assert_string_equal(text, "BOOKMARK /;");
    make_pod(c, "r1", "refs",
             ", volumes: [{name: a, configMap: {name: vol}}, {name: b, secret: {secretName: sec}},"
             " {name: p, projected: {sources: [{secret: {name: proj}}, {configMap: {name: absent}}]}}],"
             " imagePullSecrets: [{name: pull}]");
    assert_true(stream_quiet(s, 50)); /* none of them exists */
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: vol}, data: {k: v}}}");
    told(c->kit, s, text, sizeof text);
    assert_string_equal(text, "ADDED ConfigMap/vol;");
    must(c, "create", "{object: {apiVersion: v1, kind: Secret, metadata: {name: sec}, stringData: {k: v}}}");
    told(c->kit, s, text, sizeof text);
    assert_string_equal(text, "ADDED Secret/sec;");
    must(c, "patch", "{kind: Secret, name: sec, type: merge, patch: {stringData: {k: w}}}");
    told(c->kit, s, text, sizeof text);
    assert_string_equal(text, "MODIFIED Secret/sec;");
    must(c, "create", "{object: {apiVersion: v1, kind: Secret, metadata: {name: proj}}}");
    told(c->kit, s, text, sizeof text);
    assert_string_equal(text, "ADDED Secret/proj;");
    must(c, "create", "{object: {apiVersion: v1, kind: Secret, metadata: {name: pull}}}");
    told(c->kit, s, text, sizeof text);
    assert_string_equal(text, "ADDED Secret/pull;");
    must(c, "delete", "{kind: Secret, name: pull}");
    told(c->kit, s, text, sizeof text);
    assert_string_equal(text, "DELETED Secret/pull;");
    must(c, "patch", "{kind: Secret, name: unnamed, type: merge, patch: {stringData: {k: w}}}");
    assert_true(stream_quiet(s, 50));
    struct stream *second = stream_open(a, "node.refs", "{name: refs}"); /* a fresh one tells all; the former ends */
    told(c->kit, second, text, sizeof text);
    assert_non_null(strstr(text, "ADDED Secret/sec;"));
    assert_non_null(strstr(text, "ADDED ConfigMap/vol;"));
    assert_non_null(strstr(text, "BOOKMARK"));
    assert_null(strstr(text, "unnamed"));
    assert_null(stream_next(s));
    assert_int_equal(s->end.code, ERR_CANCELED);
    stream_close(s);
    remove_pod(c, "r1");
    told(c->kit, second, text, sizeof text);
    assert_non_null(strstr(text, "DELETED Secret/sec;"));
    assert_non_null(strstr(text, "DELETED ConfigMap/vol;"));
    stream_close(second);
    client_close(a);
}

static void test_references_of_environment(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "envs");
    char text[600];
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: e1}}}");
    must(c, "create", "{object: {apiVersion: v1, kind: Secret, metadata: {name: e2}}}");
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: e3}}}");
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: ep}, spec: {nodeName: envs, initContainers: [{name: i, "
         "image: i,"
         " envFrom: [{configMapRef: {name: e3}}]}], containers: [{name: c, image: i, env: [{name: A, valueFrom: "
         "{configMapKeyRef: "
         "{name: e1, key: k}}}, {name: B, valueFrom: {secretKeyRef: {name: e2, key: k}}}]}]}}}");
    struct stream *s = stream_open(a, "node.refs", "{name: envs}");
    told(c->kit, s, text, sizeof text);
    assert_non_null(strstr(text, "ConfigMap/e1;"));
    assert_non_null(strstr(text, "Secret/e2;"));
    assert_non_null(strstr(text, "ConfigMap/e3;"));
    stream_close(s);
    client_close(a);
    remove_pod(c, "ep");
}

static void test_references_larger_than_a_message_come_in_pieces(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "much");
    char *big = malloc(900001), volumes[2000] = ", volumes: [";
    memset(big, 'x', 900000);
    big[900000] = '\0';
    for (int i = 0; i < 14; i++) { /* 12.6 MB: above what one message holds */
        must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: much%d}, data: {k: %s}}}", i,
             big);
        size_t n = strlen(volumes);
        snprintf(volumes + n, sizeof volumes - n, "%s{name: v%d, configMap: {name: much%d}}", i == 0 ? "" : ", ", i, i);
    }
    free(big);
    strcat(volumes, "]");
    make_pod(c, "muchpod", "much", volumes);
    struct stream *s = stream_open(a, "node.refs", "{name: much}");
    unsigned added = 0;
    for (bool synced = false; !synced;) {
        const struct value *payload = stream_next(s);
        assert_non_null(payload);
        const struct value *events = value_get(payload, "events");
        VALUE_FOR(i, events)
        {
            bool bookmark = str_is(value_path_str(value_item(events, i), "type"), "BOOKMARK");
            synced = synced || bookmark;
            added += !bookmark;
        }
    }
    assert_int_equal(added, 14);
    stream_close(s);
    client_close(a);
    remove_pod(c, "muchpod");
    for (int i = 0; i < 14; i++) {
        must(c, "delete", "{kind: ConfigMap, name: much%d}", i);
    }
}

static void test_routes_follow_the_nodes(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "route1");
    struct stream *s = stream_open(a, "node.routes", "{name: route1}");
    bool found = false;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !found && kit_now() < until;) {
        const struct value *payload = stream_next(s);
        assert_non_null(payload);
        const struct value *e = value_find(value_get(payload, "routes"), "name", STR("route1"));
        found = e != NULL && value_path_str(e, "podCIDR").n > 0 && str_is(value_path_str(e, "internalIP"), "10.0.0.1");
    }
    assert_true(found);
    while (!stream_quiet(s, 50)) {
        assert_non_null(stream_next(s));
    }
    must(c, "patch", "{kind: Node, name: route1, type: merge, patch: {metadata: {labels: {x: z}}}}");
    assert_true(stream_quiet(s, 50)); /* nothing that concerns routes */
    struct client *b = agent_new(c->kit, "route2");
    struct stream *changes = stream_open(b, "node.routes", "{name: route2, changes: true}");
    assert_non_null(value_find(value_get(stream_next(changes), "routes"), "name", STR("route1")));
    struct stream *plain = stream_open(c, "node.routes", "{name: route2}");
    must(c, "delete", "{kind: Node, name: route1}");
    bool gone = false;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !gone && kit_now() < until;) {
        const struct value *payload = stream_next(changes);
        assert_null(value_get(payload, "routes")); /* only what has changed */
        gone = str_is(value_to_str(value_item(value_get(payload, "gone"), 0)), "route1");
    }
    assert_true(gone);
    const struct value *routes = NULL;
    do {
        routes = value_get(stream_next(plain), "routes");
        assert_non_null(routes);
    } while (value_find(routes, "name", STR("route1")) != NULL);
    stream_close(plain);
    stream_close(s);
    stream_close(changes);
    client_close(a);
    client_close(b);
}

/* The object of that name among what has changed; NULL: there is none. */
static const struct value *changed_object(const struct value *payload, const char *kind, const char *name)
{
    const struct value *list = value_get(payload, "changed");
    VALUE_FOR(i, list)
    {
        const struct value *o = value_item(list, i);
        if (str_is(value_path_str(o, "kind"), kind) &&
            (name == NULL || str_is(value_path_str(o, "metadata.name"), name))) {
            return o;
        }
    }
    return NULL;
}

static void test_services_and_where_they_lead_are_told_to_every_node(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "serve1");
    must(c, "create",
         "{object: {apiVersion: v1, kind: Service, metadata: {name: told}, spec: {selector: {app: told}, ports: "
         "[{port: 80}]}}}");
    struct stream *s = stream_open(a, "node.services", "{name: serve1}");
    bool service = false, slice = false, first = true;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !(service && slice) && kit_now() < until; first = false) {
        const struct value *payload = stream_next(s);
        assert_non_null(payload);
        assert_int_equal(value_path_bool(payload, "whole", false), first);
        service = service || changed_object(payload, "Service", "told") != NULL;
        slice = slice || changed_object(payload, "EndpointSlice", NULL) != NULL;
    }
    assert_true(service && slice);
    while (!stream_quiet(s, 50)) {
        assert_non_null(stream_next(s));
    }
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: nothing-served}}}");
    assert_true(stream_quiet(s, 50));
    must(c, "delete", "{kind: Service, name: told}");
    bool gone = false;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !gone && kit_now() < until;) {
        const struct value *list = value_get(stream_next(s), "gone");
        VALUE_FOR(i, list)
        {
            const struct value *e = value_item(list, i);
            gone = gone || (str_is(value_path_str(e, "kind"), "Service") && str_is(value_path_str(e, "name"), "told"));
        }
    }
    assert_true(gone);
    must(c, "delete", "{kind: ConfigMap, name: nothing-served}");
    stream_close(s);
    client_close(a);
}

/* What is in it, and how it goes on, is master_policing.c's. */
static void test_a_node_is_told_the_policies_that_select_its_pods(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "guard1");
    struct stream *s = stream_open(a, "node.policies", "{name: guard1}");
    const struct value *payload = stream_next(s);
    assert_non_null(payload);
    assert_true(value_path_bool(payload, "whole", false) && value_path_bool(payload, "complete", false));
    assert_int_equal(value_count(value_get(payload, "policies")), 0);
    must(c, "create",
         "{object: {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: guarded}, spec: "
         "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: asks}}}]}]}}}");
    make_pod(c, "guarded", "guard1", "");
    bool policy = false;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !policy && kit_now() < until;) {
        payload = stream_next(s);
        assert_non_null(payload);
        assert_false(value_path_bool(payload, "whole", false));
        policy = value_count(value_get(payload, "policies")) == 1 && value_count(value_get(payload, "classes")) == 1;
    }
    assert_true(policy);
    must(c, "delete", "{kind: NetworkPolicy, name: guarded}");
    bool gone = false;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !gone && kit_now() < until;) {
        payload = stream_next(s);
        gone = value_count(value_get(payload, "gone")) == 1 && value_count(value_get(payload, "dropped")) == 1;
    }
    assert_true(gone);
    must(c, "delete", "{kind: Pod, name: guarded, gracePeriodSeconds: 0}");
    stream_close(s);
    client_close(a);
}

/* ---- Status ---- */

static void test_status_of_own_pods_is_taken_and_of_others_refused(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "stat");
    const char *mine = make_pod(c, "s1", "stat", ""), *theirs = make_pod(c, "s2", "elsewhere", "");
    const char *number = make_pod(c, "s3", "stat", ""), *without = make_pod(c, "s4", "stat", "");
    const char *list = make_pod(c, "s5", "stat", "");
    must(a, "node.status",
         "{name: stat, pods: [{namespace: default, name: s1, uid: %s, status: {phase: Running, podIP: 10.1.0.2,"
         " conditions: [{type: Ready, status: 'True'}]}},"
         " {namespace: default, name: s2, uid: %s, status: {phase: Failed}},"
         " {namespace: default, name: s1, uid: other, status: {phase: Failed}},"
         " {namespace: default, name: none, uid: x, status: {phase: Failed}},"
         " {namespace: default, name: s3, uid: %s, status: 7}, {namespace: default, name: s4, uid: %s},"
         " {namespace: default, name: s5, uid: %s, status: {phase: [1]}}, 7]}",
         mine, theirs, number, without, list);
    const struct value *results = value_get(a->result, "results");
    static const int codes[] = {0,         ERR_FORBIDDEN, ERR_NOT_FOUND, ERR_NOT_FOUND,
                                ERR_USAGE, ERR_USAGE,     ERR_INVALID,   ERR_NOT_FOUND};
    assert_int_equal(value_count(results), ARRAY_SIZE(codes));
    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
        assert_int_equal(value_path_int(value_item(results, i), "code", 0), codes[i]);
    }
    must(c, "get", "{kind: Pod, name: s1}");
    assert_string_equal(text_at(c, "object.status.phase"), "Running");
    assert_string_equal(text_at(c, "object.status.podIP"), "10.1.0.2");
    must(c, "get", "{kind: Pod, name: s2}");
    assert_string_equal(text_at(c, "object.status.phase"), "Pending");
    must(a, "node.status", "{name: stat, pods: []}");
    must(a, "node.status", "{name: stat}");
    refused(a, ERR_USAGE, "unknown parameter", "node.status", "{name: stat, pod: []}");
    client_close(a);
    for (unsigned i = 1; i <= 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%u", i);
        remove_pod(c, name);
    }
}

static void test_status_of_the_node(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "nstat");
    must(a, "node.status",
         "{name: nstat, pods: [], node: {addresses: [{type: InternalIP, address: 10.0.0.7}], conditions: [{type: "
         "Ready, status: 'True'}]}}");
    must(c, "get", "{kind: Node, name: nstat}");
    assert_string_equal(value_text(c->kit, value_item(value_path(c->result, "object.status.addresses"), 0), "address"),
                        "10.0.0.7");
    /* Devices that somebody has given to the node stay when its agent tells what it knows. */
    must(c, "patch",
         "{kind: Node, name: nstat, type: merge, part: status, patch: {status: {capacity: {example.com/gpu: '4'}}}}");
    must(a, "node.status",
         "{name: nstat, pods: [], node: {capacity: {cpu: '2'}, allocatable: {cpu: '2'}, conditions: [{type: Ready, "
         "status: 'True'}]}}");
    must(c, "get", "{kind: Node, name: nstat}");
    const struct value *allocatable = value_path(c->result, "object.status.allocatable");
    assert_string_equal(value_text(c->kit, allocatable, "cpu"), "2");
    assert_true(str_is(value_to_str(value_get(allocatable, "example.com/gpu")), "4"));
    client_close(a);
    must(c, "delete", "{kind: Node, name: nstat}");
    refused(c, ERR_NOT_FOUND, "register again", "node.status", "{name: nstat, node: {}}");
}

static void test_gone_removes_a_deleted_pod_and_no_other(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "gone");
    const char *uid = make_pod(c, "g1", "gone", "");
    must(a, "node.status", "{name: gone, pods: [], gone: [{namespace: default, name: g1, uid: %s}]}", uid);
    must(c, "get", "{kind: Pod, name: g1}"); /* nobody has deleted it */
    must(c, "delete", "{kind: Pod, name: g1}");
    assert_false(value_path_bool(c->result, "gone", true));
    must(a, "node.status", "{name: gone, pods: [], gone: [{namespace: default, name: g1, uid: other}]}");
    must(c, "get", "{kind: Pod, name: g1}");
    must(a, "node.status",
         "{name: gone, pods: [{namespace: default, name: g1, uid: %s, status: {phase: Succeeded}}],"
         " gone: [{namespace: default, name: g1, uid: %s}]}",
         uid, uid);
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: Pod, name: g1}");
    client_close(a);
}

/* ---- Events ---- */

static void test_equal_events_count_up(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "evt");
    make_pod(c, "ev", "evt", "");
    static const char event[] =
        "{involvedObject: {apiVersion: v1, kind: Pod, namespace: default, name: ev, uid: u1}, reason: Pulled,"
        " message: image is here, type: Normal, source: {component: reeve-agent, host: evt}}";
    for (int i = 0; i < 3; i++) {
        must(a, "node.events", "{name: evt, events: [%s]}", event);
    }
    must(a, "node.events",
         "{name: evt, events: [7, {}, {involvedObject: {kind: Pod, name: 'Not A Name'}, reason: 7},"
         " {involvedObject: {apiVersion: v1, kind: Pod, namespace: default, name: ev, uid: u1}, reason: Killing, "
         "message: m, type: Normal}]}");
    must(c, "list", "{kind: Event, namespace: default, fieldSelector: 'involvedObject.name=ev'}");
    const struct value *items = value_get(c->result, "items");
    assert_int_equal(value_count(items), 2);
    unsigned counts = 0;
    VALUE_FOR(i, items)
    {
        counts += (unsigned)value_path_int(value_item(items, i), "count", 0);
    }
    assert_int_equal(counts, 4);
    client_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_register_makes_a_node_and_tells_the_heartbeat),
        cmocka_unit_test(test_where_a_node_keeps_volumes_is_the_agents_to_say),
        cmocka_unit_test(test_a_new_node_cannot_choose_what_the_system_gives),
        cmocka_unit_test(test_a_node_speaks_for_itself_only),
        cmocka_unit_test(test_the_newer_connection_of_a_node_replaces_the_older),
        cmocka_unit_test(test_an_administrators_connection_may_change_nodes),
        cmocka_unit_test(test_a_heartbeat_keeps_a_node_known_and_a_deleted_nodes_connection_ends),
        cmocka_unit_test(test_pods_of_the_node_and_no_others),
        cmocka_unit_test(test_an_agent_is_not_told_what_it_said_itself),
        cmocka_unit_test(test_references_are_what_the_pods_name),
        cmocka_unit_test(test_references_of_environment),
        cmocka_unit_test(test_references_larger_than_a_message_come_in_pieces),
        cmocka_unit_test(test_routes_follow_the_nodes),
        cmocka_unit_test(test_services_and_where_they_lead_are_told_to_every_node),
        cmocka_unit_test(test_a_node_is_told_the_policies_that_select_its_pods),
        cmocka_unit_test(test_status_of_own_pods_is_taken_and_of_others_refused),
        cmocka_unit_test(test_status_of_the_node),
        cmocka_unit_test(test_gone_removes_a_deleted_pod_and_no_other),
        cmocka_unit_test(test_equal_events_count_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* [2 log] rctl logs and exec as kubectl's are typed, against a node made of paper: it answers each log with two lines, the
 * second of which tells what was asked, and each command by its first word. */
#include "tests/unit/kit/habits.h"

struct state {
    struct habits *h;
    struct client *agent;
    struct stream *streams[256];
    unsigned count;
};
static struct state *the;

static void send_bytes(struct stream *s, const char *key, const char *text)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_cstr(&b, key);
    mp_write_bin(&b, text, strlen(text));
    assert_int_equal(rpc_stream_write(s->stream, buf_str(&b)), 0);
}

static void answer_logs(struct stream *s, const struct value *p)
{
    static const char *const keys[] = {"follow",    "previous",   "tailLines", "sinceSeconds",
                                       "sinceTime", "limitBytes", "timestamps"};
    CLEANUP_BUF struct buf line = BUF_INIT;
    struct str pod = value_path_str(p, "name"), container = value_path_str(p, "container");
    buf_printf(&line, "%.*s/%.*s first\nasked", STR_ARG(pod), STR_ARG(container));
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        if (value_get(p, keys[i]) != NULL) {
            buf_printf(&line, " %s=", keys[i]);
            json_write(&line, value_get(p, keys[i]), 0);
        }
    }
    buf_putc(&line, '\n');
    send_bytes(s, "text", buf_cstr(&line));
    stream_end(s, NULL);
}

static void answer_exec(struct stream *s, const struct value *p)
{
    struct str word = value_to_str(value_item(value_get(p, "command"), 0)), container = value_path_str(p, "container");
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_printf(&b, "in %.*s\n", STR_ARG(container));
    int code = str_is(word, "true") ? 0 : str_is(word, "nonesuch") ? 127 : 3;
    send_bytes(s, code == 127 ? "stderr" : "stdout", code == 127 ? "executable file not found\n" : buf_cstr(&b));
    stream_send(s, "{exit: %d}", code);
    stream_end(s, NULL);
}

static void on_request(struct client *c, struct rpc_request *r, struct str method, struct mp params)
{
    struct value *p;
    struct error err = {0};
    assert_int_equal(msgpack_read_value(&c->kit->arena, params.p, (size_t)(params.end - params.p), &p, &err), 0);
    bool logs = str_is(method, "pod.logs");
    if (str_is(value_path_str(p, "name"), "bad")) {
        error_set(&err, ERR_USAGE, "container not running: \"c\" of pod \"bad\" waits: ImagePullBackOff");
        rpc_reply_error(r, &err);
        return;
    }
    assert_true(the->count < ARRAY_SIZE(the->streams));
    struct stream *s = the->streams[the->count++] = stream_accept(c, r);
    if (logs) {
        answer_logs(s, p);
    } else {
        answer_exec(s, p);
    }
}

static const char pods[] =
    "{apiVersion: v1, kind: Pod, metadata: {name: one, labels: {app: x}}, spec: {nodeName: n1, initContainers: "
    "[{name: init, image: i}], containers: [{name: c, image: i}, {name: side, image: i}]}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: two, labels: {app: x}}, spec: {nodeName: n1, containers: [{name: c, "
    "image: i}]}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: bad, labels: {app: z}}, spec: {nodeName: n1, containers: [{name: c, "
    "image: i}]}}\n---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: good, labels: {app: z}}, spec: {nodeName: n1, containers: [{name: c, "
    "image: i}]}}\n---\n"
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 0, selector: {matchLabels: {app: "
    "x}}, "
    "template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: i}]}}}}\n";

static int set_up(void **state)
{
    struct state *s = the = xcalloc(1, sizeof *s);
    s->h = habits_start(0);
    s->agent = client_as(s->h->kit, 0, PKI_ROLE_NODE, "n1");
    s->agent->on_request = on_request;
    must(s->agent, "node.register",
         "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}, status: {conditions: [{type: Ready, status: "
         "'True'}]}}}");
    habits_must(s->h, "rctl apply -f -", pods);
    *state = s->h;
    return 0;
}

static int tear_down(void **state)
{
    struct state *s = the;
    for (unsigned i = 0; i < s->count; i++) {
        stream_close(s->streams[i]);
    }
    free(s);
    return habits_tear_down(state);
}

static void logs_of_what_was_asked(void **state)
{
    static const struct habit rows[] = {
        {"rctl logs two", NULL, 0, "=two/c first\nasked\n", "="},
        {"rctl logs pod/two --tail=3 -p --timestamps", NULL, 0, "asked previous=true tailLines=3 timestamps=true", "="},
        {"rctl logs two --since=90s --limit-bytes=100", NULL, 0, "asked sinceSeconds=90 limitBytes=100", "="},
        {"rctl logs two --since-time=2026-01-31T08:00:00Z", NULL, 0, "asked sinceTime=\"2026-01-31T08:00:00Z\"", "="},
        {"rctl logs two --since-time=noon", NULL, 2, "=", "--since-time is a time such as"},
        {"rctl logs two --since-time=2026-01-31T08:00:00Z --since=1m", NULL, 2, "=", "either --since or --since-time"},
        {"rctl logs one", NULL, 0, "one/c first", "=Defaulted container \"c\" out of: c, side\n"},
        {"rctl logs one -c side", NULL, 0, "one/side first", "="},
        {"rctl logs one --container=init", NULL, 0, "one/init first", "="},
        {"rctl logs one side", NULL, 0, "one/side first", "="},
        {"rctl logs one --all-containers", NULL, 0,
         "=one/init first\nasked\none/c first\nasked\none/side first\nasked\n", "="},
        {"rctl logs one --all-containers=true --prefix", NULL, 0, "[pod/one/init] one/init first\n[pod/one/side] asked",
         "="},
        {"rctl logs one --all-containers -c side", NULL, 2, "=", "either --all-containers"},
        {"rctl logs -l app=x", NULL, 0, "=one/c first\nasked tailLines=10\ntwo/c first\nasked tailLines=10\n", "="},
        {"rctl logs -l app=x --tail=-1 --prefix", NULL, 0, "[pod/two/c] asked\n", "="},
        {"rctl logs -f -l app=x --all-containers", NULL, 0, "one/init first\none/side first\ntwo/c first\nfollow=true",
         "="},
        {"rctl logs -f -l app=x --all-containers --max-log-requests=3", NULL, 1, "=",
         "4 logs would be followed\n--max-log-requests=4"},
        {"rctl logs -l app=none", NULL, 0, "=", "=No resources found in default namespace.\n"},
        {"rctl logs two -l app=x", NULL, 2, "=", "not both"},
        {"rctl logs", NULL, 2, "=", "one pod is needed"},
        {"rctl logs bad", NULL, 1, "=", "container not running: \"c\" of pod \"bad\" waits: ImagePullBackOff"},
        {"rctl logs -l app=z", NULL, 1, "good/c first", "ImagePullBackOff"},
        {"rctl logs -l app=z --ignore-errors --pod-running-timeout=1s", NULL, 0, "good/c first", "ImagePullBackOff"},
        {"rctl logs deploy/d --all-pods", NULL, 0, "[pod/one/c] one/c first\n[pod/two/c] two/c first", "="},
        {"rctl logs deploy/d -c c", NULL, 0, "/c first", "Found 2 pods, using pod/"},
        {"rctl logs two --all-pods", NULL, 2, "=", "not for a pod"},
        {"rctl logs crd/x", NULL, 2, "=", "CustomResourceDefinition is not there yet"},
        {"rctl logs none", NULL, 5, "=", "pods \"none\" not found"},
        {"rctl get --raw '/api/v1/namespaces/default/pods/two/log?tailLines=4'", NULL, 0, "asked tailLines=4", "="},
    };
    RUN(rows);
}

static void commands_exit_as_they_exit(void **state)
{
    static const struct habit rows[] = {
        {"rctl exec two -- true", NULL, 0, "in ", "="},
        {"rctl exec one -c side -- true", NULL, 0, "=in side\n", "="},
        {"rctl exec pod/one --container side -- true", NULL, 0, "=in side\n", "="},
        {"rctl exec deploy/d -q -- true", NULL, 0, "in ", NULL},
        {"rctl exec two -- false", NULL, 3, "in ", "=command terminated with exit code 3\n"},
        {"rctl exec two -- nonesuch", NULL, 127, "=",
         "executable file not found\ncommand terminated with exit code 127"},
        {"rctl exec bad -- true", NULL, 1, "=", "container not running: \"c\" of pod \"bad\" waits: ImagePullBackOff"},
        {"rctl exec two", NULL, 2, "=", "which command?"},
        {"rctl exec none -- true", NULL, 5, "=", "not found"},
    };
    RUN(rows);
}

/* The same over HTTPS: what kubectl asks comes to the node in the same words. */
static void kubectl_is_answered_alike(void **state)
{
    habits_must(*state, "rctl config kubeconfig -f kube", NULL);
    static const struct habit rows[] = {
        {"KUBECONFIG=kube ${KUBECTL:-kubectl} logs two -c c", NULL, 0, "=two/c first\nasked\n", "="},
        {"KUBECONFIG=kube ${KUBECTL:-kubectl} logs two -c c --tail=3 -p --timestamps", NULL, 0,
         "asked previous=true tailLines=3 timestamps=true", "="},
        {"KUBECONFIG=kube ${KUBECTL:-kubectl} logs two -c c --since=90s --limit-bytes=100", NULL, 0,
         "asked sinceSeconds=90 limitBytes=100", "="},
        {"KUBECONFIG=kube ${KUBECTL:-kubectl} logs two -c c --since-time=2026-01-31T08:00:00Z", NULL, 0,
         "asked sinceTime=\"2026-01-31T08:00:00Z\"", "="},
        {"KUBECONFIG=kube ${KUBECTL:-kubectl} logs none", NULL, 1, "=", "NotFound"},
        {"KUBECONFIG=kube ${KUBECTL:-kubectl} logs bad", NULL, 1, NULL, "Error from server"},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logs_of_what_was_asked),
        cmocka_unit_test(kubectl_is_answered_alike),
        cmocka_unit_test(commands_exit_as_they_exit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

#include "tests/unit/agent_fakes.h"
#include "tests/unit/agent_known_kit.h"

#include "agent/runtime/cgroup.h"

/* ---- Helpers ---- */

struct fixture {
    struct world w;
    struct podspec *s;
    struct arena a;
    struct error err;
    struct podspec_resolved r;
};

static void fixture_init(struct fixture *f, const char *metadata, const char *spec)
{
    *f = (struct fixture){0};
    world_init(&f->w);
    arena_init(&f->a);
    f->s = spec_with(metadata, spec, "");
    f->w.node.facts.refs = f->w.refs;
    f->w.node.facts.pod_ip = "10.1.0.5";
    CLEANUP_OBJECT struct object *config =
        object_of("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'conf','namespace':'default'},"
                  "'data':{'color':'blue','size':'10'},'binaryData':{'blob':'AAE='}}");
    CLEANUP_OBJECT struct object *secret =
        object_of("{'apiVersion':'v1','kind':'Secret','metadata':{'name':'key','namespace':'default'},"
                  "'data':{'password':'aHVudGVyMg=='}}");
    refs_list_begin(f->w.refs);
    refs_put(f->w.refs, config);
    refs_put(f->w.refs, secret);
    refs_list_end(f->w.refs, NULL, NULL);
}

static void fixture_close(struct fixture *f)
{
    podspec_free(f->s);
    arena_close(&f->a);
    world_close(&f->w);
}

static int resolve(struct fixture *f)
{
    return podspec_resolve(f->s, &f->s->containers[0], &f->w.node.facts, &f->a, &f->r, &f->err);
}

static const char *joined(struct fixture *f, const char *const *list)
{
    const char *out = "";
    for (unsigned i = 0; list != NULL && list[i] != NULL; i++) {
        out = arena_printf(&f->a, "%s%s%s", out, i == 0 ? "" : " ", list[i]);
    }
    return out;
}

#define WEB(more) "'containers':[{'name':'web','image':'nginx'," more "}]"

/* ---- Services ---- */

static void put_nothing(const struct service_port *p, void *data)
{
    (void)p, (void)data;
}
static void remove_nothing(const char *key, void *data)
{
    (void)key, (void)data;
}
static void complete_nothing(void *data)
{
    (void)data;
}

static void services_are_told_in_the_environment(void **state)
{
    (void)state;
    struct fixture f;
    static const struct known_ops none = {.put = put_nothing, .remove = remove_nothing, .complete = complete_nothing};
    struct known *k = known_new("n1", &none);
    tell_known(k,
               "{'whole':true,'complete':true,'gone':[],'changed':["
               "{'apiVersion':'v1','kind':'Service','metadata':{'name':'redis-leader','namespace':'default','uid':'1'},"
               "'spec':{'clusterIP':'10.96.0.9','ports':[{'name':'db','port':6379},{'name':'x-y','port':53,"
               "'protocol':'UDP'}]}},"
               "{'apiVersion':'v1','kind':'Service','metadata':{'name':'bare','namespace':'default','uid':'2'},"
               "'spec':{'clusterIP':'None','ports':[{'port':1}]}},"
               "{'apiVersion':'v1','kind':'Service','metadata':{'name':'far','namespace':'other','uid':'3'},"
               "'spec':{'clusterIP':'10.96.0.8','ports':[{'port':1}]}}]}");
    fixture_init(&f, "",
                 WEB("'env':[{'name':'WHERE','value':'$(REDIS_LEADER_SERVICE_HOST)'},{'name':'REDIS_LEADER_PORT',"
                     "'value':'mine'}]"));
    f.w.node.facts.services = k;
    assert_int_equal(resolve(&f), 0);
    assert_string_equal(joined(&f, f.r.env),
                        "REDIS_LEADER_SERVICE_HOST=10.96.0.9 REDIS_LEADER_SERVICE_PORT=6379 REDIS_LEADER_PORT=mine "
                        "REDIS_LEADER_SERVICE_PORT_DB=6379 REDIS_LEADER_PORT_6379_TCP=tcp://10.96.0.9:6379 "
                        "REDIS_LEADER_PORT_6379_TCP_PROTO=tcp REDIS_LEADER_PORT_6379_TCP_PORT=6379 "
                        "REDIS_LEADER_PORT_6379_TCP_ADDR=10.96.0.9 REDIS_LEADER_SERVICE_PORT_X_Y=53 "
                        "REDIS_LEADER_PORT_53_UDP=udp://10.96.0.9:53 REDIS_LEADER_PORT_53_UDP_PROTO=udp "
                        "REDIS_LEADER_PORT_53_UDP_PORT=53 REDIS_LEADER_PORT_53_UDP_ADDR=10.96.0.9 WHERE=10.96.0.9");
    fixture_close(&f);
    fixture_init(&f, "", "'enableServiceLinks':false," WEB("'env':[{'name':'A','value':'b'}]"));
    f.w.node.facts.services = k;
    assert_int_equal(resolve(&f), 0);
    assert_string_equal(joined(&f, f.r.env), "A=b");
    fixture_close(&f);
    /* Where the masters are is told to all. */
    tell_known(k, "{'complete':true,'gone':[],'changed':[{'apiVersion':'v1','kind':'Service','metadata':{"
                  "'name':'kubernetes','namespace':'default','uid':'4'},'spec':{'clusterIP':'10.96.0.1','ports':["
                  "{'name':'https','port':443}]}}]}");
    fixture_init(&f, "", "'enableServiceLinks':false," WEB("'env':[{'name':'A','value':'b'}]"));
    f.w.node.facts.services = k;
    assert_int_equal(resolve(&f), 0);
    assert_string_equal(joined(&f, f.r.env),
                        "KUBERNETES_SERVICE_HOST=10.96.0.1 KUBERNETES_SERVICE_PORT=443 "
                        "KUBERNETES_PORT=tcp://10.96.0.1:443 KUBERNETES_SERVICE_PORT_HTTPS=443 "
                        "KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443 KUBERNETES_PORT_443_TCP_PROTO=tcp "
                        "KUBERNETES_PORT_443_TCP_PORT=443 KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1 A=b");
    fixture_close(&f);
    known_free(k);
}

/* ---- Expansion ---- */

static void expansion_follows_the_rules(void **state)
{
    (void)state;
    static const char *const env[] = {"A=1", "B=two", "A=3", "EMPTY=", NULL};
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"plain", "plain"}, {"$(B)", "two"},        {"x$(B)y$(B)", "xtwoytwo"},
        {"$(A)", "3"},      {"$(NONE)", "$(NONE)"}, {"$$(B)", "$(B)"},
        {"$B", "$B"},       {"$(B", "$(B"},         {"$$$(B)", "$two"},
        {"a$", "a$"},       {"$(EMPTY)!", "!"},     {"", ""},
    };
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_string_equal(podspec_expand(&a, rows[i].in, env), rows[i].out);
        const char *path;
        struct error err = {0};
        bool missing = strcmp(rows[i].in, "$(NONE)") == 0; /* no directory of that name is wanted */
        assert_int_equal(podspec_expand_sub_path(&a, rows[i].in, env, &path, &err), missing ? ERR_INVALID : 0);
        assert_true(!missing || strstr(err.message, "missing value for \"NONE\"") != NULL);
    }
    arena_close(&a);
}

/* ---- Environment ---- */

static void environment_comes_in_order_and_may_name_earlier_variables(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "",
                 WEB("'env':[{'name':'A','value':'1'},{'name':'B','value':'$(A)2 $(C)'},{'name':'C','value':'3'},"
                     "{'name':'A','value':'9'}],'command':['run','$(B)'],'args':['$(C)']"));
    assert_int_equal(resolve(&f), 0);
    assert_string_equal(joined(&f, f.r.env), "A=9 B=12 $(C) C=3");
    assert_string_equal(joined(&f, f.r.command), "run 12 $(C)");
    assert_string_equal(joined(&f, f.r.args), "3");
    fixture_close(&f);
}

static void keys_of_config_maps_and_secrets_become_variables(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "",
                 WEB("'env':[{'name':'C','valueFrom':{'configMapKeyRef':{'name':'conf','key':'color'}}},"
                     "{'name':'P','valueFrom':{'secretKeyRef':{'name':'key','key':'password'}}},"
                     "{'name':'N','valueFrom':{'configMapKeyRef':{'name':'conf','key':'nope','optional':true}}}]"));
    assert_int_equal(resolve(&f), 0);
    assert_string_equal(joined(&f, f.r.env), "C=blue P=hunter2");
    fixture_close(&f);
}

static void env_from_takes_all_keys_with_a_prefix_and_env_goes_over_it(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "",
                 WEB("'envFrom':[{'prefix':'X_','configMapRef':{'name':'conf'}},{'secretRef':{'name':'key'}}],"
                     "'env':[{'name':'X_size','value':'$(X_size)0'}]"));
    assert_int_equal(resolve(&f), 0);
    assert_string_equal(joined(&f, f.r.env), "X_color=blue X_size=100 password=hunter2");
    fixture_close(&f);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *message;
    } rows[] = {
        {WEB("'env':[{'name':'C','valueFrom':{'configMapKeyRef':{'name':'none','key':'a'}}}]"),
         "configmap \"none\" not found"},
        {WEB("'env':[{'name':'C','valueFrom':{'secretKeyRef':{'name':'key','key':'a'}}}]"),
         "couldn't find key a in Secret default/key"},
        {WEB("'envFrom':[{'secretRef':{'name':'gone'}}]"), "secret \"gone\" not found"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fixture f;
        fixture_init(&f, "", rows[i].spec);
        assert_int_equal(resolve(&f), ERR_NOT_FOUND);
        assert_string_equal(f.err.message, rows[i].message);
        fixture_close(&f);
    }
}

static void before_the_first_list_absence_means_wait(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "", WEB("'envFrom':[{'secretRef':{'name':'gone'}}]"));
    refs_free(f.w.refs);
    f.w.refs = refs_new();
    f.w.node.facts.refs = f.w.refs;
    assert_int_equal(resolve(&f), ERR_BUSY);
    fixture_close(&f);
}

static void fields_of_the_pod_become_variables(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, ",'labels':{'app':'hello','tier':'x'},'annotations':{'a/b':'c'}",
                 WEB("'env':[{'name':'N','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}},"
                     "{'name':'L','valueFrom':{'fieldRef':{'fieldPath':'metadata.labels[`app`]'}}},"
                     "{'name':'IP','valueFrom':{'fieldRef':{'fieldPath':'status.podIP'}}},"
                     "{'name':'H','valueFrom':{'fieldRef':{'fieldPath':'status.hostIP'}}},"
                     "{'name':'W','valueFrom':{'fieldRef':{'fieldPath':'spec.nodeName'}}}]"));
    assert_int_equal(resolve(&f), 0);
    assert_string_equal(joined(&f, f.r.env), "N=web L=hello IP=10.1.0.5 H=192.0.2.1 W=n1");
    fixture_close(&f);
}

static void amounts_become_variables_rounded_up(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(
        &f, "",
        WEB("'resources':{'limits':{'memory':'100Mi'},'requests':{'cpu':'1500m'}},"
            "'env':[{'name':'M','valueFrom':{'resourceFieldRef':{'resource':'limits.memory','divisor':'1Mi'}}},"
            "{'name':'R','valueFrom':{'resourceFieldRef':{'resource':'requests.cpu'}}},"
            "{'name':'m','valueFrom':{'resourceFieldRef':{'resource':'requests.cpu','divisor':'1m'}}},"
            "{'name':'L','valueFrom':{'resourceFieldRef':{'resource':'limits.cpu'}}}]"));
    assert_int_equal(resolve(&f), 0);
    assert_string_equal(joined(&f, f.r.env), "M=100 R=2 m=1500 L=2");
    fixture_close(&f);
}

/* ---- Volumes ---- */

static const char *files_of(struct fixture *f, unsigned volume, bool *secret)
{
    struct volume_file *files;
    unsigned count;
    int rv =
        podspec_volume_files(f->s, &f->s->volumes[volume], &f->w.node.facts, &f->a, &files, &count, secret, &f->err);
    if (rv != 0) {
        return f->err.message;
    }
    const char *out = "";
    for (unsigned i = 0; i < count; i++) {
        out = arena_printf(&f->a, "%s%s%s=%.*s(%o)", out, i == 0 ? "" : " ", files[i].path, STR_ARG(files[i].content),
                           files[i].mode);
    }
    return out;
}

static void volumes_hold_the_keys_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    bool secret;
    fixture_init(&f, ",'labels':{'app':'he\\u0022llo','tier':'x'}",
                 "'containers':[{'name':'web','image':'nginx'}],'volumes':["
                 "{'name':'a','configMap':{'name':'conf','items':[{'key':'color','path':'sub/c'}],'defaultMode':256}},"
                 "{'name':'b','secret':{'secretName':'key'}},"
                 "{'name':'c','configMap':{'name':'none'}},"
                 "{'name':'d','configMap':{'name':'none','optional':true}},"
                 "{'name':'e','configMap':{'name':'conf','items':[{'key':'nope','path':'x'}]}},"
                 "{'name':'f','downwardAPI':{'items':[{'path':'labels','fieldRef':{'fieldPath':'metadata.labels'}}]}},"
                 "{'name':'g','projected':{'sources':[{'secret':{'name':'key'}},{'configMap':{'name':'conf',"
                 "'items':[{'key':'size','path':'password','mode':384}]}}]}},"
                 "{'name':'h','nfs':{'server':'s','path':'/p'}}]");
    assert_string_equal(files_of(&f, 0, &secret), "sub/c=blue(400)");
    assert_false(secret);
    assert_string_equal(files_of(&f, 1, &secret), "password=hunter2(644)");
    assert_true(secret);
    assert_string_equal(files_of(&f, 2, &secret), "configmap \"none\" not found");
    assert_string_equal(files_of(&f, 3, &secret), "");
    assert_string_equal(files_of(&f, 4, &secret), "references non-existent configmap key: nope");
    assert_string_equal(files_of(&f, 5, &secret), "labels=app=\"he\\\"llo\"\ntier=\"x\"(644)");
    assert_string_equal(files_of(&f, 6, &secret), "password=10(600)");
    assert_true(secret);
    assert_string_equal(files_of(&f, 7, &secret), "volume \"h\": unsupported volume type nfs");
    fixture_close(&f);
}

static void references_are_found_wherever_they_stand(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "",
                 "'containers':[{'name':'web','image':'nginx','env':[{'name':'C','valueFrom':{'configMapKeyRef':"
                 "{'name':'one','key':'a'}}}],'envFrom':[{'secretRef':{'name':'two'}}]}],'volumes':["
                 "{'name':'a','projected':{'sources':[{'secret':{'name':'three'}}]}}]");
    static const struct {
        const char *kind, *name;
        bool named;
    } rows[] = {
        {"ConfigMap", "one", true}, {"Secret", "two", true}, {"Secret", "three", true}, {"Secret", "one", false}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *json =
            xasprintf("{'apiVersion':'v1','kind':'%s','metadata':{'name':'%s','namespace':'default'}}", rows[i].kind,
                      rows[i].name);
        CLEANUP_OBJECT struct object *o = object_of(json);
        assert_int_equal(podspec_refers(f.s, o), rows[i].named);
    }
    fixture_close(&f);
}

/* ---- Amounts, classes, ports ---- */

static void quality_of_service_follows_requests_and_limits(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        enum qos_class qos;
    } rows[] = {
        {WEB("'tty':false"), QOS_BEST_EFFORT},
        {WEB("'resources':{'requests':{'cpu':'1'}}"), QOS_BURSTABLE},
        {WEB("'resources':{'limits':{'cpu':'1','memory':'1Gi'}}"), QOS_GUARANTEED},
        {WEB("'resources':{'limits':{'cpu':'1','memory':'1Gi'},'requests':{'cpu':'500m'}}"), QOS_BURSTABLE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct podspec *s = spec_of(rows[i].spec);
        assert_int_equal(s->qos, rows[i].qos);
        podspec_free(s);
    }
}

static void limits_become_shares_quota_and_bytes(void **state)
{
    (void)state;
    struct podspec *s = spec_of(WEB("'resources':{'limits':{'cpu':'500m','memory':'64Mi'},'requests':{'cpu':'250m'}}"));
    struct runtime_resources r;
    struct cgroup_limits pod;
    podspec_container_resources(s, &s->containers[0], 1ll << 30, &r);
    assert_int_equal(r.memory_bytes, 64 << 20);
    assert_int_equal(r.cpu_shares, 256);
    assert_int_equal(r.cpu_quota_us, 50000);
    podspec_pod_limits(s, &pod);
    assert_int_equal(pod.memory_bytes, 64 << 20);
    assert_int_equal(pod.cpu_quota_us, 50000);
    podspec_free(s);
}

static void amounts_near_the_greatest_number_are_bounded(void **state)
{
    (void)state;
    struct podspec *s = spec_of(
        "'overhead':{'cpu':'4000000000000000','memory':'4000000000000000000'},'containers':["
        "{'name':'c','image':'i','resources':{'limits':{'cpu':'4000000000000000','memory':'4000000000000000000'}}},"
        "{'name':'d','image':'i','resources':{'limits':{'cpu':'4000000000000000','memory':'4000000000000000000'}}}]");
    struct cgroup_limits pod;
    struct runtime_resources r;
    podspec_pod_limits(s, &pod);
    assert_in_range(pod.memory_bytes, 1ll << 50, INT64_MAX);
    assert_in_range(pod.cpu_quota_us, 1ll << 40, (1ll << 44) - 1);
    assert_int_equal(pod.cpu_shares, 262144);
    podspec_container_resources(s, &s->containers[0], 1ll << 30, &r);
    assert_in_range(r.cpu_quota_us, 1ll << 40, (1ll << 44) - 1);
    assert_int_equal(r.cpu_shares, 262144);
    podspec_free(s);
}

static void what_a_pod_says_as_a_whole_stands_in_place_of_its_containers(void **state)
{
    (void)state;
    struct podspec *s =
        spec_of("'resources':{'requests':{'cpu':'1','memory':'1Gi'},'limits':{'cpu':'2','memory':'2Gi'}}"
                ",'overhead':{'cpu':'100m'},'containers':[{'name':'c','image':'i','resources':{'requests':"
                "{'cpu':'250m','ephemeral-storage':'1Gi'}}},{'name':'d','image':'i'}]");
    struct cgroup_limits pod;
    struct runtime_resources r;
    assert_int_equal(s->total.cpu_milli, 1100);
    assert_int_equal(s->total.memory_bytes, 1 << 30);
    assert_int_equal(s->total.ephemeral_bytes, 1 << 30);
    assert_int_equal(s->qos, QOS_BURSTABLE);
    podspec_pod_limits(s, &pod); /* with what the pod needs itself */
    assert_int_equal(pod.memory_bytes, 2ll << 30);
    assert_int_equal(pod.cpu_quota_us, 210000);
    assert_int_equal(pod.cpu_shares, 1126);
    /* A container without a limit has none of its own, and half of what the pod requests guards it from OOM kills. */
    podspec_container_resources(s, &s->containers[1], 4ll << 30, &r);
    assert_int_equal(r.memory_bytes, 0);
    assert_int_equal(r.oom_score_adj, 875);
    podspec_free(s);
    s = spec_of("'resources':{'limits':{'cpu':'2','memory':'2Gi'}},'containers':[{'name':'c','image':'i'}]");
    assert_int_equal(s->qos, QOS_GUARANTEED);
    podspec_free(s);
}

static void probes_find_ports_by_name_and_get_their_defaults(void **state)
{
    (void)state;
    struct podspec *s =
        spec_of(WEB("'ports':[{'name':'http','containerPort':8080}],'livenessProbe':{'httpGet':{'path':'/ok',"
                    "'port':'http','httpHeaders':[{'name':'X','value':'y'}]}},"
                    "'readinessProbe':{'tcpSocket':{'port':'nope'}}"));
    const struct podspec_probe *p = &s->containers[0].probes[PODSPEC_LIVENESS];
    assert_int_equal(p->handler.port, 8080);
    assert_string_equal(p->handler.headers[0].value, "y");
    assert_int_equal(p->period_ms, 10000);
    assert_int_equal(p->timeout_ms, 1000);
    assert_int_equal(p->failure_threshold, 3);
    assert_int_equal(s->containers[0].probes[PODSPEC_READINESS].handler.port, 0);
    podspec_free(s);
}

static void the_containers_security_context_goes_over_the_pods(void **state)
{
    (void)state;
    struct podspec *s =
        spec_of("'securityContext':{'runAsUser':1000,'runAsGroup':5,'fsGroup':7,'supplementalGroups':[9]}," WEB(
            "'securityContext':{'runAsUser':2000,'capabilities':{'add':['NET_ADMIN']}}"));
    const struct runtime_security *c = &s->containers[0].security;
    assert_int_equal(c->run_as_user, 2000);
    assert_int_equal(c->run_as_group, 5);
    assert_int_equal(c->supplemental_groups_count, 2);
    assert_int_equal(c->supplemental_groups[1], 7);
    assert_string_equal(c->capabilities_add[0], "NET_ADMIN");
    podspec_free(s);
}

static void a_pod_without_uid_or_containers_is_refused(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *o =
        object_of("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'x','namespace':'default'},'spec':{}}");
    struct podspec *s = NULL;
    assert_int_equal(podspec_new(o, &s, NULL), ERR_INVALID);
    assert_null(s);
}

/* ---- Names and settings ---- */

static void resolv_conf_is_the_nodes_with_the_pods_settings_over_it(void **state)
{
    (void)state;
    static const char node[] = "# of the node\nnameserver 10.0.0.1\nnameserver 10.0.0.2\ndomain old.example\n"
                               "search a.example b.example\noptions ndots:1 rotate\n";
    static const struct podspec_dns cluster = {"10.96.0.10", "x.y"};
    static const struct {
        const char *spec, *text; /* text NULL = as the node's */
        bool cluster;            /* the node answers names of the cluster */
    } rows[] = {
        {"", "nameserver 10.96.0.10\nsearch default.svc.x.y svc.x.y x.y a.example b.example\noptions ndots:5\n", true},
        {"'dnsPolicy':'ClusterFirst','dnsConfig':{'nameservers':['9.9.9.9'],'searches':['x.y','own'],"
         "'options':[{'name':'ndots','value':'2'}]},",
         "nameserver 10.96.0.10\nnameserver 9.9.9.9\nsearch default.svc.x.y svc.x.y x.y a.example b.example own\n"
         "options ndots:2\n",
         true},
        {"'dnsPolicy':'Default',", NULL, true},
        {"'hostNetwork':true,'dnsPolicy':'ClusterFirst',", NULL, true},
        {"'hostNetwork':true,'dnsPolicy':'ClusterFirstWithHostNet',",
         "nameserver 10.96.0.10\nsearch default.svc.x.y svc.x.y x.y a.example b.example\noptions ndots:5\n", true},
        {"'dnsPolicy':'None','dnsConfig':{'nameservers':['9.9.9.9']},", "nameserver 9.9.9.9\n", true},
        {"'dnsPolicy':'Default',", NULL, false},
        {"'dnsPolicy':'ClusterFirst',", NULL, false},
        {"'dnsPolicy':'None','dnsConfig':{'nameservers':['9.9.9.9'],'searches':['x','y'],"
         "'options':[{'name':'ndots','value':'5'},{'name':'edns0'}]},",
         "nameserver 9.9.9.9\nsearch x y\noptions ndots:5 edns0\n", false},
        {"'dnsPolicy':'None','dnsConfig':{'nameservers':['9.9.9.9']},", "nameserver 9.9.9.9\n", false},
        {"'dnsPolicy':'None',", "", false},
        {"'dnsPolicy':'Default','dnsConfig':{'searches':['c.example','a.example']},",
         "nameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch a.example b.example c.example\noptions ndots:1 rotate\n",
         false},
        {"'dnsPolicy':'ClusterFirst','dnsConfig':{'nameservers':['10.0.0.2','9.9.9.9','8.8.8.8'],"
         "'options':[{'name':'ndots','value':'3'}]},",
         "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 9.9.9.9\nsearch a.example b.example\n"
         "options ndots:3 rotate\n",
         false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *spec = xasprintf("%s'containers':[{'name':'web','image':'nginx'}]", rows[i].spec);
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        struct podspec *s = spec_of(spec);
        const char *text = podspec_resolv_conf(s, STR(node), rows[i].cluster ? &cluster : NULL, &a);
        if (rows[i].text == NULL) {
            assert_null(text);
        } else {
            assert_string_equal(text, rows[i].text);
        }
        podspec_free(s);
    }
}

static void settings_of_the_pod_are_read(void **state)
{
    (void)state;
    struct podspec *s = spec_of(
        "'hostname':'h','subdomain':'sub','setHostnameAsFQDN':true,'shareProcessNamespace':true,"
        "'securityContext':{'sysctls':[{'name':'net.ipv4.tcp_syncookies','value':'0'},{'name':'net/ipv4/conf/eth0.1/x',"
        "'value':'1'}],'supplementalGroupsPolicy':'Strict','seccompProfile':{'type':'RuntimeDefault'}},"
        "'containers':[{'name':'a','image':'i','lifecycle':{'stopSignal':'SIGUSR1'}},{'name':'b','image':'i',"
        "'securityContext':{'seccompProfile':{'type':'Localhost','localhostProfile':'x/y.json'}}},{'name':'c',"
        "'image':'i','securityContext':{'seccompProfile':{'type':'Unconfined'}}}]");
    assert_true(s->fqdn_hostname && s->shared_pid);
    assert_string_equal(s->domain, "sub.default.svc.cluster.local");
    assert_int_equal(s->sysctls_count, 2);
    assert_string_equal(s->sysctls[0].name, "net.ipv4.tcp_syncookies");
    assert_string_equal(s->sysctls[0].value, "0");
    assert_string_equal(s->sysctls[1].name, "net.ipv4.conf.eth0/1.x");
    const struct podspec_container *c = s->containers;
    assert_string_equal(c[0].stop_signal, "SIGUSR1");
    assert_string_equal(c[1].stop_signal, "");
    assert_true(c[0].security.strict_groups);
    assert_true(!c[0].security.seccomp_unconfined && c[0].security.seccomp_localhost == NULL);
    assert_false(c[1].security.seccomp_unconfined);
    assert_string_equal(c[1].security.seccomp_localhost, "x/y.json");
    assert_true(c[2].security.seccomp_unconfined);
    podspec_free(s);
}

static void volumes_of_data_are_mounted_as_data(void **state)
{
    (void)state;
    struct podspec *s = spec_of(
        "'volumes':[{'name':'s','secret':{'secretName':'x'}},{'name':'c','configMap':{'name':'x'}},{'name':'d',"
        "'downwardAPI':{'items':[]}},{'name':'p','projected':{'sources':[]}},{'name':'e','emptyDir':{}},{'name':'m',"
        "'emptyDir':{'medium':'Memory'}},{'name':'h','hostPath':{'path':'/x'}}],"
        "'containers':[{'name':'a','image':'i','volumeMounts':[{'name':'s','mountPath':'/s'}]},{'name':'b','image':'i',"
        "'securityContext':{'privileged':true}}]");
    static const struct {
        bool data, no_device, read_only;
    } expected[] = {{true, false, true},  {true, false, true},  {true, false, true},  {true, false, true},
                    {false, true, false}, {false, true, false}, {false, false, false}};
    assert_int_equal(s->volumes_count, ARRAY_SIZE(expected));
    for (unsigned i = 0; i < s->volumes_count; i++) {
        const struct podspec_mount *m = &s->containers[0].mounts[0];
        struct runtime_mount plain = podspec_runtime_mount(&s->volumes[i], &s->containers[0], m, "/src");
        struct runtime_mount privileged = podspec_runtime_mount(&s->volumes[i], &s->containers[1], m, "/src");
        assert_string_equal(plain.source, "/src");
        assert_string_equal(plain.target, "/s");
        assert_int_equal(plain.data, expected[i].data);
        assert_int_equal(plain.no_device, expected[i].no_device);
        assert_int_equal(plain.read_only, expected[i].read_only);
        assert_int_equal(privileged.data, expected[i].data);
        assert_false(privileged.no_device);
    }
    podspec_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_are_told_in_the_environment),
        cmocka_unit_test(expansion_follows_the_rules),
        cmocka_unit_test(environment_comes_in_order_and_may_name_earlier_variables),
        cmocka_unit_test(keys_of_config_maps_and_secrets_become_variables),
        cmocka_unit_test(env_from_takes_all_keys_with_a_prefix_and_env_goes_over_it),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(before_the_first_list_absence_means_wait),
        cmocka_unit_test(fields_of_the_pod_become_variables),
        cmocka_unit_test(amounts_become_variables_rounded_up),
        cmocka_unit_test(volumes_hold_the_keys_asked_for),
        cmocka_unit_test(references_are_found_wherever_they_stand),
        cmocka_unit_test(quality_of_service_follows_requests_and_limits),
        cmocka_unit_test(limits_become_shares_quota_and_bytes),
        cmocka_unit_test(amounts_near_the_greatest_number_are_bounded),
        cmocka_unit_test(what_a_pod_says_as_a_whole_stands_in_place_of_its_containers),
        cmocka_unit_test(probes_find_ports_by_name_and_get_their_defaults),
        cmocka_unit_test(the_containers_security_context_goes_over_the_pods),
        cmocka_unit_test(resolv_conf_is_the_nodes_with_the_pods_settings_over_it),
        cmocka_unit_test(settings_of_the_pod_are_read),
        cmocka_unit_test(volumes_of_data_are_mounted_as_data),
        cmocka_unit_test(a_pod_without_uid_or_containers_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* kubectl's habits with services: what people type to make and to look at them, each line with what must come of it. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(
        state, 1, "rctl create deployment web --image=nginx:1 --port=8080 && rctl run solo --image=x --port=90", NULL);
}

static void services_are_made_by_their_type(void **state)
{
    static const struct habit rows[] = {
        {"rctl create service clusterip c --tcp=80:8080 --tcp=443", NULL, 0, "=service/c created\n"},
        {"rctl get svc c -o jsonpath='{.spec.type} {.spec.selector.app} {.spec.ports[*].name} "
         "{.spec.ports[*].targetPort}'",
         NULL, 0, "=ClusterIP c 80-8080 443 8080 443"},
        {"rctl create svc clusterip h --clusterip=None", NULL, 0, "=service/h created\n"},
        {"rctl get service h -o wide | tr -s ' '", NULL, 0, "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR"},
        {"rctl get service h | tr -s ' '", NULL, 0, "h ClusterIP None <none> <none>"},
        {"rctl create service nodeport n --tcp=80:http --node-port=30080 -o jsonpath='{.spec.ports[0]}'", NULL, 0,
         "\"nodePort\":30080\n\"targetPort\":\"http\""},
        {"rctl create service loadbalancer l --tcp=80 --dry-run=client -o yaml", NULL, 0, "type: LoadBalancer\napp: l"},
        {"rctl create service externalname e --external-name=db.example.com", NULL, 0, "=service/e created\n"},
        {"rctl get svc e | tr -s ' '", NULL, 0, "e ExternalName <none> db.example.com <none>"},
        {"rctl create service clusterip x", NULL, 2, "=", "at least one port must be given: --tcp=PORT[:TARGET]"},
        {"rctl create service clusterip x --tcp=80:", NULL, 2, "=", "--tcp is PORT or PORT:TARGET, not \"80:\""},
        {"rctl create service clusterip x --tcp=0", NULL, 2, "=", "--tcp is PORT or PORT:TARGET, not \"0\""},
        {"rctl create service clusterip x --tcp=80 --node-port=30000", NULL, 2, "=",
         "--node-port goes with \"create service nodeport\""},
        {"rctl create service externalname x", NULL, 2, "=", "which host? --external-name=HOST"},
        {"rctl create service odd x --tcp=80", NULL, 2, "=", "clusterip|nodeport|loadbalancer|externalname NAME"},
        {"rctl create service clusterip c --tcp=80", NULL, 3, "=", "services \"c\" already exists"},
        {"rctl get svc kubernetes -o jsonpath='{.spec.clusterIP} {.spec.ports[0].name} {.spec.ports[0].port}'", NULL, 0,
         "=10.96.0.1 https 443"},
        {"rctl delete svc c h n e", NULL, 0, "service \"c\" deleted\nservice \"e\" deleted"},
    };
    habits_until(*state, "rctl get svc kubernetes"); /* about a second after the start of a cluster */
    RUN(rows);
}

static void what_runs_is_exposed(void **state)
{
    static const struct habit rows[] = {
        {"rctl expose deploy/web", NULL, 0, "=service/web exposed\n"},
        {"rctl get svc web -o jsonpath='{.spec.selector.app} {.spec.ports[0].port} {.spec.ports[0].targetPort} "
         "{.metadata.labels.app}'",
         NULL, 0, "=web 8080 8080 web"},
        {"rctl expose deploy web --port=80 --target-port=http --name=two --type=NodePort --labels=a=b,c=d "
         "--session-affinity=ClientIP -o jsonpath='{.spec.type} {.spec.ports[0]} {.metadata.labels} "
         "{.spec.sessionAffinityConfig.clientIP.timeoutSeconds}'",
         NULL, 0, "NodePort\n\"targetPort\":\"http\"\n{\"a\":\"b\",\"c\":\"d\"} 10800"},
        {"rctl expose pod solo --protocol=UDP --cluster-ip=None -o jsonpath='{.spec.clusterIP} {.spec.selector.run} "
         "{.spec.ports[0].protocol}'",
         NULL, 0, "=None solo UDP"},
        {"rctl expose svc two --name=three -o jsonpath='{.spec.selector.app} {.spec.ports[0].port}'", NULL, 0,
         "=web 80"},
        {"rctl expose rs --selector=app=x --port=80", NULL, 2, "=", "which replicaset?"},
        {"rctl expose deploy/web --port=80 --selector=app=x,tier=back --name=four --dry-run=client -o yaml", NULL, 0,
         "app: x\ntier: back"},
        {"rctl expose deploy/web --name=five --port=80 --overrides='{spec: {publishNotReadyAddresses: true}}' -o "
         "jsonpath={.spec.publishNotReadyAddresses}",
         NULL, 0, "=true"},
        {"rctl expose deploy/web --port=80", NULL, 3, "=", "services \"web\" already exists"},
        {"rctl expose deploy/none --port=80", NULL, 5, "=", "\"none\" not found"},
        {"rctl expose cm/x --port=80", NULL, 2, "=", "cannot expose a ConfigMap"},
        {"rctl expose", NULL, 2, "=", "expose TYPE/NAME --port=PORT"},
        /* Its own options come before the configuration, which is missing here. */
        {"REEVE_CONFIG=/none rctl expose deploy/web --port=99999", NULL, 2, "=", "--port\n!configuration"},
        {"REEVE_CONFIG=/none rctl expose deploy/web --port=80 --labels=a", NULL, 2, "=", "labels\n!configuration"},
        {"REEVE_CONFIG=/none rctl expose deploy/web --port=80 --selector=a", NULL, 2, "=", "selector\n!configuration"},
        {"REEVE_CONFIG=/none rctl expose cm/x --port=80", NULL, 2, "=", "cannot expose a ConfigMap"},
        {"REEVE_CONFIG=/none rctl expose deploy --port=80", NULL, 2, "=", "which deployment?"},
        {"REEVE_CONFIG=/none rctl expose deploy/web --port=80 --overrides={} --override-type=x", NULL, 2, "=",
         "--override-type is merge"},
        {"REEVE_CONFIG=/none rctl expose deploy/web --port=80", NULL, 5, "=", "/none"},
        {"rctl create deployment mute --image=x && rctl expose deploy/mute", NULL, 2, NULL,
         "deployment.apps/mute says no port; give one: --port=PORT"},
        {"rctl run web2 --image=x --port=80 --expose", NULL, 0, "=pod/web2 created\nservice/web2 created\n"},
        {"rctl get svc web2 -o jsonpath='{.spec.selector.run} {.spec.ports[0].port}'", NULL, 0, "=web2 80"},
        {"rctl run web3 --image=x --port=80 --expose --dry-run=client -o yaml", NULL, 0,
         "kind: Pod\n---\nkind: "
         "Service"},
    };
    RUN(rows);
}

#define NODE_PORT(name, port)                                                                                          \
    "{apiVersion: v1, kind: Service, metadata: {name: " name                                                           \
    "}, spec: {type: NodePort, ports: [{port: 80, nodePort: " #port "}]}}\n"

static void addresses_and_ports_are_given_once(void **state)
{
    static const struct habit rows[] = {
        {"rctl apply -f -", "--- " NODE_PORT("np1", 30007) "--- " NODE_PORT("np2", 30007), 1, "=",
         "Service \"np2\" is invalid: spec.ports[0].nodePort: Invalid value: 30007: provided port is already "
         "allocated"},
        {"rctl apply -f - --dry-run=server", "--- " NODE_PORT("np1", 30007), 0, "service/np1 created (server dry run)"},
        {"rctl apply -f -", "--- " NODE_PORT("np1", 30007) "--- " NODE_PORT("np2", 30008), 0,
         "service/np1 created\nservice/np2 created"},
        {"rctl get svc np1 -o jsonpath={.spec.clusterIP} > ip1; rctl get svc np2 -o jsonpath={.spec.clusterIP} > ip2; "
         "grep -q ^10 ip1 && grep -q ^10 ip2 && ! cmp -s ip1 ip2",
         NULL, 0},
        {"rctl apply -f -", "--- " NODE_PORT("np1", 30007), 0, "service/np1 unchanged"},
        {"rctl get svc np1 -o jsonpath={.spec.clusterIP} | cmp - ip1", NULL, 0, "="},
        {"rctl create service clusterip thief --tcp=80 --clusterip=$(cat ip1)", NULL, 1, "=",
         "provided IP is already allocated"},
        {"rctl create service clusterip lost --tcp=80 --clusterip=192.0.2.1", NULL, 1, "=",
         "The range of valid IPs is 10.96.0.0/12"},
        {"rctl patch svc np1 --type=merge -p '{spec: {type: ClusterIP}}'", NULL, 0, "service/np1 patched"},
        {"rctl get svc np1 -o jsonpath={.spec.ports[0].nodePort}", NULL, 0, "="},
        {"rctl create service nodeport np3 --tcp=80 --node-port=30007", NULL, 0, "service/np3 created"},
        {"rctl delete svc np2 && rctl create service clusterip heir --tcp=80 --clusterip=$(cat ip2)", NULL, 0,
         "service/heir created"},
        {"rctl patch svc np1 --type=merge -p '{spec: {clusterIP: 10.96.0.77}}'", NULL, 1, "=",
         "may not change once set"},
    };
    RUN(rows);
}

static void a_service_is_described(void **state)
{
    static const char slice[] = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: d-1, labels: "
                                "{kubernetes.io/service-name: d}}, addressType: IPv4, endpoints: [{addresses: "
                                "[10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}], ports: [{port: "
                                "8080}]}";
    static const char service[] = "{apiVersion: v1, kind: Service, metadata: {name: d}, spec: {clusterIP: None, ports: "
                                  "[{port: 80, targetPort: 8080}]}}";
    static const char ep[] = "{apiVersion: v1, kind: Endpoints, metadata: {name: d}, subsets: [{addresses: [{ip: "
                             "10.0.0.1}], ports: [{port: 8080}]}]}";
    static const struct habit rows[] = {
        {"rctl apply -f -", service, 0, "service/d created"},
        {"rctl apply -f -", slice, 0, "endpointslice.discovery.k8s.io/d-1 created"},
        {"rctl apply -f -", ep, 0, "endpoints/d "},
        {"rctl describe svc d", NULL, 0,
         "IP:                       None\nPort:                     <unset>  80/TCP\n"
         "TargetPort:               8080/TCP\nEndpoints:                10.0.0.1:8080\n!10.0.0.2\n"
         "Session Affinity:         None\nInternal Traffic Policy:  Cluster"},
        {"rctl get ep,endpointslices | tr -s ' '", NULL, 0,
         "endpoints/d 10.0.0.1:8080\nd-1 IPv4 8080 10.0.0.1,10.0.0.2"},
        {"rctl describe ep d", NULL, 0, "Addresses:         10.0.0.1\nNotReadyAddresses: <none>\n<unset>  8080  TCP"},
        {"rctl explain svc.spec.clusterIP", NULL, 0, "None for a service without one"},
        {"rctl get svc --field-selector spec.clusterIP=None -o name", NULL, 0, "service/d"},
    };
    RUN(rows);
}

static void a_service_leads_to_the_pods_that_are_ready(void **state)
{
    struct habits *h = *state;
    habits_must(h,
                "rctl create deployment lead --image=nginx:1 --replicas=2 && rctl expose deploy/lead --port=80 "
                "--target-port=8080",
                NULL);
    habits_until(h, "test $(rctl get ep lead -o jsonpath='{.subsets[*].addresses[*].ip}' | wc -w) = 2");
    static const struct habit rows[] = {
        {"rctl describe svc lead", NULL, 0, "Endpoints:                10.\n:8080,10."},
        {"rctl get endpointslices -l kubernetes.io/service-name=lead | tr -s ' '", NULL, 0, " IPv4 8080 10."},
        {"rctl get endpointslices -l kubernetes.io/service-name=lead -o "
         "jsonpath='{.items[0].endpoints[*].conditions.ready} {.items[0].endpoints[0].nodeName}'",
         NULL, 0, "=true true hollow-0"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
    habits_must(h, "rctl scale deploy/lead --replicas=0", NULL);
    habits_until(h, "test $(rctl get ep lead -o jsonpath='{.subsets[*].addresses[*].ip}' | wc -w) = 0");
}

/* Ports of a Service are not those of its pods; which one is led where is told in the line that begins to listen. */
static void a_services_port_is_forwarded_to_that_of_its_pod(void **state)
{
    static const char objects[] =
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: fwd}, spec: {selector: {matchLabels: {app: fwd}}, "
        "template: {metadata: {labels: {app: fwd}}, spec: {containers: [{name: c, image: x, ports: [{name: web, "
        "containerPort: 8080}]}]}}}}\n---\n"
        "{apiVersion: v1, kind: Service, metadata: {name: fwd}, spec: {selector: {app: fwd}, ports: [{name: http, "
        "port: "
        "80, targetPort: web}, {name: admin, port: 81, targetPort: 9090}, {name: same, port: 82}, {name: odd, port: "
        "83, "
        "targetPort: nonesuch}, {name: dns, port: 53, protocol: UDP}]}}\n---\n"
        "{apiVersion: v1, kind: Service, metadata: {name: fwd-less}, spec: {clusterIP: None, selector: {app: fwd}, "
        "ports: [{port: 80, targetPort: 8080}]}}\n---\n"
        "{apiVersion: v1, kind: Service, metadata: {name: blind}, spec: {ports: [{port: 80}]}}\n---\n"
        "{apiVersion: v1, kind: Service, metadata: {name: idle}, spec: {selector: {app: nobody}, ports: [{port: "
        "80}]}}";
    habits_must(*state, "rctl apply -f -", objects);
    habits_until(*state, "test $(rctl get pods -l app=fwd -o jsonpath='{.items[0].status.phase}') = Running");
    static const struct habit rows[] = {
        {"first 1 rctl port-forward svc/fwd :80", NULL, HABIT_ANY, "Forwarding from 127.0.0.1:\n -> 8080"},
        {"first 3 rctl port-forward service/fwd :http :admin :82", NULL, HABIT_ANY, " -> 8080\n -> 9090\n -> 82"},
        {"first 1 rctl port-forward svc/fwd-less :80", NULL, HABIT_ANY, " -> 80"},
        {"first 1 rctl port-forward deploy/fwd :web", NULL, HABIT_ANY, " -> 8080"},
        {"first 1 rctl port-forward rs/fwd :80", NULL, HABIT_ANY, " -> 80"},
        {"rctl port-forward svc/fwd 8080", NULL, 1, "=", "Service fwd does not have a service port 8080"},
        {"rctl port-forward svc/fwd :web", NULL, 1, "=", "Service 'fwd' does not have a named port 'web'"},
        {"rctl port-forward svc/fwd :83", NULL, 1, "=", "' does not have a named port 'nonesuch'"},
        {"rctl port-forward svc/fwd :dns", NULL, 1, "=", "only TCP can be forwarded, port dns of Service 'fwd'"},
        {"rctl port-forward svc/fwd 80:", NULL, 2, "=", "\"80:\" is not [LOCAL:]REMOTE"},
        {"rctl port-forward svc/blind :80", NULL, 1, "=",
         "invalid service 'blind': Service is defined without a selector"},
        {"rctl port-forward svc/idle :80", NULL, 5, "=", "svc/idle has no pods (selector app=nobody)"},
        {"rctl port-forward svc/none :80", NULL, 5, "=", "services \"none\" not found"},
        {"rctl port-forward cm/x :80", NULL, 2, "=", "cm/x has no pods; name a pod, deploy/NAME, rs/NAME or svc/NAME"},
    };
    RUN(rows);
    habits_must(*state, "rctl delete deploy/fwd svc/fwd svc/fwd-less svc/blind svc/idle", NULL);
}

#define TEST(name) cmocka_unit_test(name)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(services_are_made_by_their_type),
        TEST(what_runs_is_exposed),
        TEST(addresses_and_ports_are_given_once),
        TEST(a_service_is_described),
        TEST(a_service_leads_to_the_pods_that_are_ready),
        TEST(a_services_port_is_forwarded_to_that_of_its_pod),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}

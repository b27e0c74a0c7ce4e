/* What the completion of shells offers: rctl __complete, and the scripts that call it, run by the shells that are
 * installed. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(
        state, 1,
        "rctl create namespace shop && rctl create configmap cup --from-literal=a=b && "
        "rctl create configmap bowl -n shop --from-literal=a=b && "
        "rctl create deployment web --image=x:1 && rctl rollout status deploy/web --timeout=30s && rctl apply -f -",
        "{apiVersion: v1, kind: Pod, metadata: {name: single}, spec: {initContainers: [{name: first, image: i}], "
        "containers: "
        "[{name: front, image: i}, {name: back, image: i}]}}");
}

static void words_are_offered_by_their_place(void **state)
{
    static const struct habit rows[] = {
        {"rctl __complete ''", NULL, 0, "get\nrollout\nhelp\n!__complete", "="},
        {"rctl __complete desc", NULL, 0, "=describe\n", "="},
        {"rctl __complete rollout ''", NULL, 0, "status\nundo", "="},
        {"rctl __complete config get", NULL, 0, "get-contexts\nget-clusters\n!view", "="},
        {"rctl __complete get po", NULL, 0, "pods\npo\npoddisruptionbudgets\n!nodes", "="},
        {"rctl __complete get ''", NULL, 0, "pods\nnodes\n!cm\n", "="},
        {"rctl __complete get pods,dep", NULL, 0, "=pods,deployments\npods,deploy\n", "="},
        {"rctl __complete get cm ''", NULL, 0, "cup\n!bowl", "="},
        {"rctl __complete get cm cu", NULL, 0, "=cup\n", "="},
        {"rctl __complete get cm/", NULL, 0, "cm/cup\n", "="},
        {"rctl __complete -n shop get cm ''", NULL, 0, "bowl\n!cup", "="},
        {"rctl __complete get cm -n shop b", NULL, 0, "=bowl\n", "="},
        {"rctl __complete get cm --namespace=shop b", NULL, 0, "=bowl\n", "="},
        {"rctl __complete get pods -n ''", NULL, 0, "default\nshop\n", "="},
        {"rctl __complete get pods -An ''", NULL, 0, "shop\n", "="},
        {"rctl __complete get pods --namespace=sh", NULL, 0, "=--namespace=shop\n", "="},
        {"rctl __complete get pods -o ''", NULL, 0, "wide\nyaml\njsonpath=\ngo-template=", "="},
        {"rctl __complete get pods -o j", NULL, 0, "json\njsonpath-as-json=\n!yaml", "="},
        {"rctl __complete get pods --out", NULL, 0, "=--output\n--output-watch-events\n", "="},
        {"rctl __complete get pods --", NULL, 0, "--selector\n--namespace\n!--cache-dir\n!--server-print=", "="},
        {"rctl __complete exec -ti si", NULL, 0, "=single\n", "="},
        {"rctl __complete exec -ti ''", NULL, 0, "single\nweb-\ndeploy/\n", "="},
        {"rctl __complete exec deploy/", NULL, 0, "=deploy/web\n", "="},
        {"rctl __complete exec single -c ''", NULL, 0, "=front\nback\nfirst\n", "="},
        {"rctl __complete exec single -- ''", NULL, 0, "=", "="},
        {"rctl __complete logs deploy/w", NULL, 0, "=deploy/web\n", "="},
        {"rctl __complete logs -f --tail 3 sin", NULL, 0, "=single\n", "="},
        {"rctl __complete port-forward single ''", NULL, 0, "=", "="},
        {"rctl __complete rollout status deploy/", NULL, 0, "=deploy/web\n", "="},
        {"rctl __complete rollout status deploy ''", NULL, 0, "=web\n", "="},
        {"rctl __complete scale deploy w", NULL, 0, "=web\n", "="},
        {"rctl __complete drain ''", NULL, 0, "=hollow-0\n", "="},
        {"rctl __complete describe no ''", NULL, 0, "=hollow-0\n", "="},
        {"rctl __complete config use-context ''", NULL, 0, "!web\n!--", "="},
        {"test \"$(rctl __complete --context '')\" = \"$(rctl config current-context)\"", NULL, 0, NULL, "="},
        {"rctl __complete wait pod/single --for ''", NULL, 0, "condition=\ndelete", "="},
        {"rctl __complete events --for pod/s", NULL, 0, "=pod/single\n", "="},
        {"rctl __complete delete cm cup --cascade=f", NULL, 0, "=--cascade=foreground\n", "="},
        {"rctl __complete completion ''", NULL, 0, "=bash\nzsh\nfish\n", "="},
        {"rctl __complete auth can-i ''", NULL, 0, "create\nwatch", "="},
        {"rctl __complete apply -f ''", NULL, 0, "=", "="},
        {"rctl __complete get jobs ''", NULL, 0, "=", "="},
        {"rctl __complete fly ''", NULL, 0, NULL, "="},
        {"rctl __complete", NULL, 0, "get", "="},
        {"REEVE_CONFIG=/none rctl __complete get cm ''", NULL, 0, "=", "="},
        {"rctl __complete get --server 127.0.0.1:1 cm ''", NULL, 0, "=", "="},
        {"rctl completion tcsh", NULL, 2, "=", "bash, zsh and fish"},
    };
    RUN(rows);
}

/* The line is typed into a function of bash as readline would. */
#define BASH(line)                                                                                                     \
    "bash -c 'source <(rctl completion bash); COMP_LINE=\"" line                                                       \
    "\"; COMP_POINT=${#COMP_LINE}; compopt() { :; }; _rctl; "                                                          \
    "printf \"%s\\n\" \"${COMPREPLY[@]}\"'"

static void bash_completes(void **state)
{
    static const struct habit rows[] = {
        {BASH("rctl rollo"), NULL, 0, "=rollout\n", "="},
        {BASH("rctl get cm "), NULL, 0, "cup\n", "="},
        {BASH("rctl get cm --namespace=sh"), NULL, 0, "=shop\n", "="},
        {BASH("rctl exec -ti single -c f"), NULL, 0, "=front\nfirst\n", "="},
        {"rctl completion bash | bash -n", NULL, 0, "=", "="},
    };
    RUN(rows);
}

static void zsh_completes(void **state)
{
    if (system("command -v zsh >/dev/null") != 0) {
        skip();
    }
    static const struct habit rows[] = {
        {"rctl completion zsh | zsh -n", NULL, 0, "=", "="},
        {"zsh -fc 'compdef() { :; }; _files() { echo files; }; compadd() { print -r -- \"$@\"; }; source <(rctl "
         "completion zsh); "
         "words=(rctl get cm cu); CURRENT=4; _rctl; words=(rctl logs deploy/w); CURRENT=3; _rctl; words=(rctl apply -f "
         "\"\"); CURRENT=4; _rctl'",
         NULL, 0, "=-- cup\n-- deploy/web\nfiles\n", "="},
    };
    RUN(rows);
}

static void fish_completes(void **state)
{
    if (system("command -v fish >/dev/null") != 0) {
        skip();
    }
    static const struct habit rows[] = {
        {"fish -c 'rctl completion fish | source; complete -C \"rctl get cm cu\"; complete -C \"rctl exec deploy/\"'",
         NULL, 0, "cup\ndeploy/web", "="},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_offered_by_their_place),
        cmocka_unit_test(bash_completes),
        cmocka_unit_test(zsh_completes),
        cmocka_unit_test(fish_completes),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}

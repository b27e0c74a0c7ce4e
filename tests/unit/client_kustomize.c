/* Kustomizations against what kustomize prints for them: the hashes are those of Kubernetes' own documentation (whose
 * second Secret was made with "secert"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "client/manifest/kustomize.h"
#include "proto/text/text.h"

struct fixture {
    char dir[64];
    struct arena arena;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/client-kustomize-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    arena_init(&f->arena);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    arena_close(&f->arena);
    free(f);
    return 0;
}

/* name may lie in a directory below, which is made. */
static void file(struct fixture *f, const char *name, const char *text)
{
    char *path = arena_printf(&f->arena, "%s/%s", f->dir, name);
    for (char *p = path + strlen(f->dir) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    FILE *s = fopen(path, "w");
    assert_non_null(s);
    fputs(text, s);
    fclose(s);
}

/* All documents as YAML with sorted keys; NULL if it was refused. */
static const char *build(struct fixture *f, const char *below)
{
    struct value *docs;
    f->err = (struct error){0};
    if (kustomize_build(&f->arena, arena_printf(&f->arena, "%s/%s", f->dir, below), &docs, &f->err) != 0) {
        return NULL;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    VALUE_FOR(i, docs)
    {
        value_sort(value_item(docs, i));
        buf_puts(&b, i > 0 ? "---\n" : "");
        yaml_write(&b, value_item(docs, i));
    }
    return arena_strdup(&f->arena, buf_cstr(&b));
}

static void has(struct fixture *f, const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL) {
        fail_msg("lacks \"%s\":\n%s", part, text == NULL ? f->err.message : text);
    }
}

static void lacks(const char *text, const char *part)
{
    assert_non_null(text);
    if (strstr(text, part) != NULL) {
        fail_msg("has \"%s\":\n%s", part, text);
    }
}

static void refused(struct fixture *f, const char *kustomization, const char *why)
{
    file(f, "refused/kustomization.yaml", kustomization);
    file(f, "refused/web.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n");
    assert_null(build(f, "refused"));
    if (strstr(f->err.message, why) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", f->err.message, why);
    }
}

#define DEPLOYMENT                                                                                                     \
    "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 1\n  selector:\n"               \
    "    matchLabels: {app: web}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n"     \
    "      - name: web\n        image: nginx:1.14\n        envFrom:\n        - configMapRef: {name: conf}\n"           \
    "        env:\n        - name: P\n          valueFrom: {secretKeyRef: {name: sec, key: p}}\n"                      \
    "      - name: side\n        image: reg.io:5000/team/side\n      volumes:\n      - name: v\n"                      \
    "        configMap: {name: conf}\n"

static void generated_names_have_the_hash_that_kustomize_gives(void **state)
{
    struct fixture *f = *state;
    file(f, "g/application.properties", "FOO=Bar\n");
    file(f, "g/password.txt", "username=admin\npassword=secret\n");
    file(f, "g/kustomization.yaml",
         "configMapGenerator:\n- name: example-configmap-1\n  files: [application.properties]\n"
         "- name: example-configmap-2\n  literals: [FOO=Bar]\n"
         "secretGenerator:\n- name: example-secret-1\n  files: [password.txt]\n"
         "- name: example-secret-2\n  literals: [username=admin, password=secert]\n");
    const char *out = build(f, "g");
    has(f, out, "name: example-configmap-1-8mbdf7882g\n");
    has(f, out, "name: example-configmap-2-g2hdhfc6tk\n");
    has(f, out, "name: example-secret-1-t2kt65hgtb\n");
    has(f, out, "name: example-secret-2-t52t6g96d8\n");
    has(f, out, "application.properties: |\n    FOO=Bar\n");
}

static void references_follow_prefixes_suffixes_and_hashes(void **state)
{
    struct fixture *f = *state;
    file(f, "base/web.yaml", DEPLOYMENT);
    file(f, "base/kustomization.yaml",
         "resources: [web.yaml]\nnamePrefix: base-\nconfigMapGenerator:\n- {name: conf, literals: [a=b]}\n"
         "secretGenerator:\n- {name: sec, literals: [p=q], options: {disableNameSuffixHash: true}}\n");
    file(f, "over/kustomization.yaml", "resources: [../base]\nnamePrefix: o-\nnameSuffix: -x\nnamespace: shop\n");
    const char *out = build(f, "over");
    has(f, out, "name: o-base-web-x\n");
    has(f, out, "name: o-base-sec-x\n");
    has(f, out, "configMapRef:\n            name: o-base-conf-x-");
    has(f, out, "secretKeyRef:\n              key: p\n              name: o-base-sec-x\n");
    has(f, out, "configMap:\n          name: o-base-conf-x-");
    has(f, out, "namespace: shop\n");
    /* ConfigMap, Secret, Deployment: what others stand on comes first. */
    assert_true(strstr(out, "kind: ConfigMap") < strstr(out, "kind: Secret"));
    assert_true(strstr(out, "kind: Secret") < strstr(out, "kind: Deployment"));
}

static void labels_annotations_images_and_replicas_reach_all_places(void **state)
{
    struct fixture *f = *state;
    file(f, "t/web.yaml",
         DEPLOYMENT "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}}\n");
    file(f, "t/kustomization.yml",
         "resources: [web.yaml]\ncommonLabels: {team: red}\nlabels:\n- pairs: {only: top}\ncommonAnnotations: {note: "
         "yep}\n"
         "images:\n- {name: nginx, newTag: '1.22'}\n- {name: 'reg.io:5000/team/side', newName: other/side, digest: "
         "'sha256:ab'}\nreplicas:\n- {name: web, count: 5}\n");
    const char *out = build(f, "t");
    has(f, out, "image: nginx:1.22\n");
    has(f, out, "image: other/side@sha256:ab\n");
    has(f, out, "replicas: 5\n");
    has(f, out, "matchLabels:\n      app: web\n      team: red\n");
    has(f, out, "      annotations:\n        note: yep\n      labels:\n        app: web\n        team: red\n    spec");
    has(f, out, "  labels:\n    only: top\n    team: red\n");
    has(f, out, "selector:\n    app: web\n    team: red\n");
    lacks(out, "        only: top\n");
}

static void patches_come_from_files_and_texts(void **state)
{
    struct fixture *f = *state;
    file(f, "p/web.yaml", DEPLOYMENT);
    file(f, "p/other.yaml",
         "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {template: {spec: "
         "{containers: [{name: a, image: a}, {name: b, image: b}]}}}\n---\n"
         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone}\n");
    file(f, "p/sm.yaml",
         "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: "
         "[{name: side, image: changed}]}}}\n");
    file(f, "p/j.yaml", "- {op: replace, path: /spec/replicas, value: 7}\n");
    file(f, "p/kustomization.yaml",
         "resources: [web.yaml, other.yaml]\npatchesStrategicMerge:\n- sm.yaml\n- |-\n  apiVersion: v1\n  kind: "
         "ConfigMap\n"
         "  metadata: {name: gone}\n  $patch: delete\npatches:\n- path: j.yaml\n  target: {kind: Deployment, name: "
         "w.*}\n"
         "- patch: |-\n    apiVersion: apps/v1\n    kind: StatefulSet\n    metadata: {name: db}\n    spec: {template: "
         "{spec: "
         "{containers: [{name: b, image: new}]}}}\npatchesJson6902:\n- target: {group: apps, version: v1, kind: "
         "Deployment, "
         "name: web}\n  patch: |-\n    [{\"op\": \"add\", \"path\": \"/metadata/labels\", \"value\": {\"j\": "
         "\"6902\"}}]\n");
    const char *out = build(f, "p");
    has(f, out, "image: changed\n");
    has(f, out, "image: nginx:1.14\n");
    has(f, out, "replicas: 7\n");
    has(f, out, "j: \"6902\"\n");
    has(f, out, "image: a\n");
    has(f, out, "image: new\n");
    lacks(out, "gone");
}

static void generators_of_a_base_are_merged_and_replaced(void **state)
{
    struct fixture *f = *state;
    file(f, "gb/env", "A=1\r\n# no\r\nB=2\r\n");
    file(f, "gb/kustomization.yaml", "configMapGenerator:\n- {name: c, envs: [env]}\n- {name: d, literals: [x=1]}\n");
    file(f, "go/kustomization.yaml",
         "resources: [../gb]\ngeneratorOptions: {labels: {g: h}, disableNameSuffixHash: true}\nconfigMapGenerator:\n"
         "- {name: c, behavior: merge, literals: [B=3, 'C=\"4\"']}\n- {name: d, behavior: replace, literals: [why=2]}\n"
         "- {name: e, literals: [z=5]}\n");
    const char *out = build(f, "go");
    has(f, out, "A: \"1\"\n  B: \"3\"\n  C: \"4\"\n");
    has(f, out, "why: \"2\"\n");
    lacks(out, "x: \"1\"\n");
    has(f, out, "name: e\n");
    has(f, out, "name: c-");
}

static void what_is_not_done_is_refused_by_its_name(void **state)
{
    struct fixture *f = *state;
    refused(f, "resources: [web.yaml]\nhelmCharts: [{name: x}]\n", "\"helmCharts\" is not there yet");
    refused(f, "resources: [web.yaml]\nreplacements: []\n", "kustomize build");
    refused(f, "kind: Component\nresources: [web.yaml]\n", "kind Component is not there yet");
    refused(f, "resources: ['https://github.com/x/y?ref=z']\n", "nothing is fetched from the web yet");
    refused(f, "resources: [../outside.yaml]\n", "outside.yaml");
    refused(f, "resources: [nosuch.yaml]\n", "nosuch.yaml");
    refused(f, "resources: [../refused]\n", "circle");
    refused(f, "resources: [web.yaml, web.yaml]\n", "comes twice");
    refused(f, "resources: [web.yaml]\nimages:\n- {name: nginx, newTag: 1.22}\n", "put quotes around it");
    refused(f, "resources: [web.yaml]\nreplicas:\n- {name: db, count: 2}\n", "named \"db\"");
    refused(f,
            "resources: [web.yaml]\npatches:\n- patch: '[{\"op\": \"test\", \"path\": \"/kind\", \"value\": \"x\"}]'\n"
            "  target: {kind: Service}\n",
            "kustomization.yaml:3:3: the patch does not fit Service \"web\"");
    refused(f, "resources: [web.yaml]\npatches:\n- patch: '{kind: Service, metadata: {name: db}}'\n", "to patch");
    file(f, "outside.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n");
    refused(f, "resources: [../outside.yaml]\n", "lies outside of");
    assert_null(build(f, "nosuch"));
    file(f, "empty/x", "");
    assert_null(build(f, "empty"));
    has(f, f->err.message, "no kustomization.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(generated_names_have_the_hash_that_kustomize_gives, setup, teardown),
        cmocka_unit_test_setup_teardown(references_follow_prefixes_suffixes_and_hashes, setup, teardown),
        cmocka_unit_test_setup_teardown(labels_annotations_images_and_replicas_reach_all_places, setup, teardown),
        cmocka_unit_test_setup_teardown(patches_come_from_files_and_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(generators_of_a_base_are_merged_and_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_done_is_refused_by_its_name, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Every field of every kind is done, refused or warned of, and does what its row says: no field is silently nothing.
 *
 * A document is made for each place in each table that sets this field alone. Of fields that count as done, somebody
 * must speak the name: a field that no program reads is not done. */
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>

#include "base/strmap.h"
#include "proto/kinds/kinds.h"
#include "tests/unit/proto_kind_fixture.h"

enum { DEPTH_MAX = 24 };

struct place {
    const struct kind *kind;
    const struct field *chain[DEPTH_MAX];
    unsigned depth;
    enum field_state above; /* the first state on the way that is not done */
};

static const struct field *first_done(const struct schema *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (s->fields[i].state == FIELD_DONE) {
            return &s->fields[i];
        }
    }
    return NULL;
}

static struct value *shaped(struct arena *a, const struct field *f, struct value *one);

static struct value *asking_scalar(struct arena *a, const struct field *f)
{
    switch (f->type) {
    case FIELD_BOOL:
        return value_bool(a, f->quiet == NULL || !in_choices(STR("true"), f->quiet));
    case FIELD_INT32:
    case FIELD_INT64:
        return value_int(a, 7);
    case FIELD_FLOAT:
        return value_float(a, 0.5);
    case FIELD_TIME:
        return value_cstr(a, "2026-01-01T00:00:00Z");
    case FIELD_QUANTITY:
        return value_cstr(a, "1");
    case FIELD_OBJECT: {
        struct value *v = value_map(a);
        const struct field *some = first_done(f->sub);
        if (some == NULL && f->state == FIELD_DONE) {
            return v;
        }
        some = some == NULL ? &f->sub->fields[0] : some;
        value_set(a, v, some->name, shaped(a, some, asking_scalar(a, some)));
        return v;
    }
    case FIELD_ANY: {
        struct value *v = value_map(a);
        value_set(a, v, "x", value_cstr(a, "y"));
        return v;
    }
    default:
        break;
    }
    for (const char *c = f->one_of; c != NULL && *c != '\0';) {
        struct str choice = {c, strcspn(c, "|")};
        if (choice.n > 0 && (f->quiet == NULL || !in_choices(choice, f->quiet))) {
            return value_str(a, choice);
        }
        c += choice.n + (c[choice.n] == '|');
    }
    return value_cstr(a, f->type == FIELD_BYTES ? "aGk=" : "x");
}

static struct value *shaped(struct arena *a, const struct field *f, struct value *one)
{
    if (f->shape == SHAPE_LIST) {
        struct value *list = value_list(a);
        value_append(a, list, one);
        return list;
    }
    if (f->shape == SHAPE_MAP) {
        struct value *map = value_map(a);
        value_set(a, map, f->keys != NULL ? f->keys : "k", one);
        return map;
    }
    return one;
}

/* The document that says nothing but this. */
static struct value *document_with(struct arena *a, const struct place *p)
{
    const struct field *last = p->chain[p->depth - 1];
    struct value *v = shaped(a, last, asking_scalar(a, last));
    for (unsigned i = p->depth - 1; i > 0; i--) {
        struct value *map = value_map(a);
        value_set(a, map, p->chain[i]->name, v);
        v = shaped(a, p->chain[i - 1], map);
    }
    struct value *doc = value_map(a);
    value_set(a, doc, "apiVersion", value_cstr(a, p->kind->api_version));
    value_set(a, doc, "kind", value_cstr(a, p->kind->name));
    value_set(a, doc, p->chain[0]->name, v);
    return doc;
}

static const char *path_of(struct arena *a, const struct place *p)
{
    const char *text = "";
    for (unsigned i = 0; i < p->depth; i++) {
        bool list = p->chain[i]->type == FIELD_OBJECT && p->chain[i]->shape == SHAPE_LIST && i + 1 < p->depth;
        text = arena_printf(a, "%s%s%s%s", text, i == 0 ? "" : ".", p->chain[i]->name, list ? "[0]" : "");
    }
    return text;
}

typedef void place_fn(const struct place *p, void *data);

static void walk(struct place *p, const struct schema *s, place_fn *fn, void *data)
{
    assert_true(p->depth < DEPTH_MAX);
    enum field_state above = p->above;
    for (unsigned i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (f->flags & (FIELD_READONLY | FIELD_STATUS)) {
            continue;
        }
        p->chain[p->depth++] = f;
        fn(p, data);
        if (f->type == FIELD_OBJECT) {
            p->above = above != FIELD_DONE ? above : f->state;
            walk(p, f->sub, fn, data);
            p->above = above;
        }
        p->depth--;
    }
}

static void walk_all(place_fn *fn, void *data)
{
    for (unsigned i = 0; i < kinds_count(); i++) {
        struct place p = {.kind = kinds_at(i)};
        walk(&p, p.kind->schema, fn, data);
    }
}

/* ---- Each row does what it says ---- */

struct tally {
    unsigned done, warned, refused;
};

static void judge(const struct place *p, void *data)
{
    struct tally *t = data;
    const struct field *f = p->chain[p->depth - 1];
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *path = path_of(&a, p);
    struct value *doc = document_with(&a, p);
    struct errlist refused = {.arena = &a};
    struct kind_warnings warned;
    kind_find_refused(p->kind, doc, NULL, &refused);
    kind_find_warnings(p->kind, &a, doc, &warned);
    bool is_refused = refused.count > 0, is_warned = warned.count > 0;
    switch (f->state) {
    case FIELD_DONE:
        t->done++;
        if (p->above == FIELD_DONE && (is_refused || is_warned)) {
            fail_msg("%s of %s is done, and yet refused or warned of", path, p->kind->name);
        }
        assert_true(f->undone == NULL);
        break;
    case FIELD_WARNED:
        t->warned++;
        if (p->above == FIELD_DONE && (!is_warned || is_refused)) {
            fail_msg("nobody is warned that %s of %s is not carried out", path, p->kind->name);
        }
        break;
    case FIELD_REFUSED:
        t->refused++;
        if (!is_refused) {
            fail_msg("%s of %s is not refused", path, p->kind->name);
        }
        /* The way every write takes. */
        struct error err = {0};
        assert_int_equal(kind_check(p->kind, &a, doc, NULL, 0, &err), ERR_INVALID);
        break;
    default:
        fail_msg("%s of %s has no state", path, p->kind->name);
    }
    if (f->state != FIELD_DONE) {
        assert_non_null(f->undone);
        const char *text = f->state == FIELD_REFUSED ? refused.items[0].message : warned.items[0];
        if (p->above == FIELD_DONE) {
            assert_contains(text, "not carried out yet: ");
            assert_contains(f->state == FIELD_REFUSED ? refused.items[0].field : text, path);
        }
    }
}

static void every_field_of_every_kind_does_what_its_row_says(void **state)
{
    (void)state;
    struct tally t = {0};
    walk_all(judge, &t);
    assert_true(t.done > 500 && t.warned > 10 && t.refused > 20);
}

/* ---- Done is what somebody reads ---- */

/* Words of the string literals of one file. */
static void read_words(struct strmap *words, const char *path)
{
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    char line[512];
    while (fgets(line, sizeof line, f) != NULL) {
        bool inside = false;
        size_t from = 0;
        for (size_t i = 0; line[i] != '\0'; i++) {
            bool letter = isalnum((unsigned char)line[i]) || line[i] == '_';
            if (inside && !letter && i > from) {
                strmap_set(words, (struct str){line + from, i - from}, words);
            }
            if (line[i] == '"') {
                inside = !inside;
            }
            if (!letter) {
                from = i + 1;
            }
        }
    }
    fclose(f);
}

/* With the rooms below it, but for those that only say what there is. */
static void read_folder(struct strmap *words, const char *folder)
{
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name);
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_type == DT_DIR && e->d_name[0] != '.' && strcmp(path, "proto/kinds") != 0 &&
            strcmp(path, "proto/schema") != 0 && strcmp(path, "proto/facts") != 0) {
            read_folder(words, path);
        } else if (n > 2 && strcmp(e->d_name + n - 2, ".c") == 0) {
            read_words(words, path);
        } else if (strchr(e->d_name, '.') == NULL) {
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            read_folder(words, path); /* a room */
        }
    }
    closedir(d);
}

/* Done without being read by these folders, and why. */
static const struct {
    const char *schema, *field; /* NULL: all of it */
    const char *why;
} elsewhere[] = {
    {"Event", NULL, "kept and shown"},
    {"EventSource", NULL, "kept and shown"},
    {"EventSeries", NULL, "kept and shown"},
    {"ObjectReference", NULL, "kept and shown"},
    {"ManagedFieldsEntry", NULL, "taken off what users write"},
    {"NodeSpec", "providerID", "kept for people, cannot change"},
    {"ServiceSpec", "clusterIPs", "the kind's own rules keep it at clusterIP"},
    {"ServiceSpec", "ipFamilies", "the kind's own rules allow one alone"},
    {"ServiceSpec", "ipFamilyPolicy", "the kind's own rules allow one family alone"},
    {"Endpoint", "deprecatedTopology", "kept and shown"},
    {"Endpoint", "hints", "kept and shown; nobody sets them here"},
    {"EndpointHints", NULL, "kept and shown; nobody sets them here"},
    {"StorageClass", "parameters", "the kind's own rules: the local provisioner has none, others read them"},
    {"IngressClassSpec", "parameters", "kept and shown: for the controller of the class"},
    {"ConfigMap", "immutable", "kept by the kind's own rules"},
    {"Secret", "immutable", "kept by the kind's own rules"},
    {"Secret", "stringData", "the kind's own defaults put it into data"},
    {"ResourceQuotaSpec", "scopeSelector", "quotas choose pods by it: proto/facts/quota.c"},
    {"ScopedResourceSelectorRequirement", NULL, "quotas choose pods by it: proto/facts/quota.c"},
    {"LimitRangeItem", NULL, "pods and claims are held to it: proto/facts/limits.c"},
    {"LeaseSpec", NULL, "kept and shown: for who holds leases"},
    {"PodGroupTemplateReference", NULL, "kept and shown"},
    {"WorkloadPodGroupTemplateReference", NULL, "kept and shown"},
    {"PodGroupSpec", "podGroupTemplateRef", "kept and shown"},
};

static bool is_done_elsewhere(const struct schema *s, const struct field *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(elsewhere); i++) {
        if (strcmp(s->name, elsewhere[i].schema) == 0 &&
            (elsewhere[i].field == NULL || strcmp(f->name, elsewhere[i].field) == 0)) {
            return true;
        }
    }
    /* What holds nothing that is done says nothing by itself. */
    return f->type == FIELD_OBJECT && first_done(f->sub) == NULL;
}

struct audit {
    struct strmap words;
    unsigned silent;
};

static void audit_place(const struct place *p, void *data)
{
    struct audit *l = data;
    const struct field *f = p->chain[p->depth - 1];
    const struct schema *s = p->depth > 1 ? p->chain[p->depth - 2]->sub : p->kind->schema;
    if (f->state == FIELD_DONE && p->above == FIELD_DONE && !is_done_elsewhere(s, f) &&
        strmap_get(&l->words, str_of(f->name)) == NULL) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        print_error("%s of %s is called done, but nobody reads it\n", path_of(&a, p), p->kind->name);
        l->silent++;
    }
}

static void a_field_that_nobody_reads_is_not_called_done(void **state)
{
    (void)state;
    struct audit l = {0};
    strmap_init(&l.words);
    static const char *const folders[] = {"agent", "scheduler", "controllers", "master", "client"};
    for (unsigned i = 0; i < ARRAY_SIZE(folders); i++) {
        read_folder(&l.words, folders[i]);
    }
    /* of proto/, which knows all words, what decides by them */
    read_words(&l.words, "proto/kinds/pod_refs.c");
    read_words(&l.words, "proto/facts/cluster.c");
    read_words(&l.words, "proto/facts/node_match.c");
    read_words(&l.words, "proto/facts/storage.c");
    read_words(&l.words, "proto/facts/netpol.c");
    read_words(&l.words, "proto/facts/disruption.c");
    read_words(&l.words, "proto/facts/gang.c");
    read_words(&l.words, "proto/schema/selector.c");
    walk_all(audit_place, &l);
    strmap_close(&l.words);
    assert_int_equal(l.silent, 0);
}

/* ---- What is new is judged, what was there is not ---- */

#define POD(spec)                                                                                                      \
    "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {" spec " containers: [{name: c, image: i}]}}"
#define DEPLOYMENT(spec, image)                                                                                        \
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {a: b}}, "          \
    "template: "                                                                                                       \
    "{metadata: {labels: {a: b}}, spec: {" spec " containers: [{name: c, image: " image "}]}}}}"
#define CLAIM(name) "resourceClaims: [{name: " name ", resourceClaimName: x}],"
#define PROFILE     "securityContext: {appArmorProfile: {type: RuntimeDefault}},"

static void promises_that_are_not_kept_are_refused(void **state)
{
    struct fixture *f = *state;
    fixture_bad(f, DEPLOYMENT(PROFILE, "i"),
                "spec.template.spec.securityContext.appArmorProfile: Forbidden: not carried out yet: no AppArmor");
    fixture_bad(f, POD("resourceClaims: [{name: a, resourceClaimName: a}],"), "spec.resourceClaims: Forbidden");
    fixture_bad(f, POD("volumes: [{name: v, cephfs: {monitors: [m]}}],"), "spec.volumes[0].cephfs: Forbidden");
    fixture_good(f, POD("volumes: [{name: v, persistentVolumeClaim: {claimName: c}}],"));
    fixture_good(f, POD("hostUsers: false,"));
    fixture_bad(f, POD("hostUsers: false, hostPID: true,"), "spec.hostPID: Forbidden: when `hostUsers` is false");
    fixture_bad(f, POD("securityContext: {appArmorProfile: {type: RuntimeDefault}},"),
                "spec.securityContext.appArmorProfile: Forbidden: not carried out yet: no AppArmor profile is set");
    fixture_bad(f, POD("securityContext: {seLinuxOptions: {level: 's0:c1'}},"),
                "spec.securityContext.seLinuxOptions: Forbidden");
    fixture_good(f, POD("hostUsers: false, initContainers: [{name: x, image: i, securityContext: {procMount: "
                        "Unmasked}}],"));
    struct value *system = fixture_good(f, POD("priorityClassName: system-node-critical,"));
    assert_int_equal(value_path_int(system, "spec.priority", 0), 2000001000);
    fixture_good(f, POD("shareProcessNamespace: false, hostUsers: true, runtimeClassName: '',"));
}

static void an_object_that_has_it_already_can_still_be_changed(void **state)
{
    struct fixture *f = *state;
    struct value *old = fixture_read(f, DEPLOYMENT(PROFILE CLAIM("a"), "i"));
    struct value *image = fixture_read(f, DEPLOYMENT(PROFILE CLAIM("a"), "j"));
    assert_int_equal(fixture_check_value(f, image, old), 0);
    struct value *more = fixture_read(f, DEPLOYMENT(PROFILE CLAIM("b"), "j"));
    assert_int_equal(fixture_check_value(f, more, old), ERR_INVALID);
    assert_contains(f->err.message, "spec.template.spec.resourceClaims: Forbidden");
    assert_null(strstr(f->err.message, "appArmorProfile"));
    /* Whoever changes it is told, each time. */
    struct kind_warnings w;
    kind_find_warnings(kind_by_id(KIND_DEPLOYMENT), &f->arena, image, &w);
    assert_int_equal(w.count, 2);
    assert_contains(w.items[0], "securityContext.appArmorProfile: not carried out yet: ");
}

static void expect_warnings(struct fixture *f, const char *yaml, const char *expected)
{
    struct value *doc = fixture_good(f, yaml);
    struct kind_warnings w;
    kind_find_warnings(kind_of_document(&f->arena, doc, &f->err), &f->arena, doc, &w);
    const char *all = "";
    for (unsigned i = 0; i < w.count; i++) {
        all = arena_printf(&f->arena, "%s%s\n", all, w.items[i]);
    }
    assert_string_equal(all, expected);
}

static void what_matters_less_is_warned_of(void **state)
{
    struct fixture *f = *state;
    expect_warnings(f, POD(""), "");
    expect_warnings(f, POD("serviceAccountName: default, automountServiceAccountToken: false, dnsPolicy: Default,"),
                    "");
    expect_warnings(f, POD("securityContext: {appArmorProfile: {type: Unconfined}},"), "");
    expect_warnings(f, POD("securityContext: {seLinuxChangePolicy: Recursive},"),
                    "spec.securityContext.seLinuxChangePolicy: not carried out yet: labels of SELinux are not set\n");
    expect_warnings(f, POD("serviceAccountName: robot, automountServiceAccountToken: true,"), "");
    expect_warnings(f, POD("volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}],"), "");
    expect_warnings(f, POD("dnsPolicy: None, dnsConfig: {nameservers: [9.9.9.9]},"), "");
    expect_warnings(f, POD("dnsConfig: {nameservers: [9.9.9.9]},"), "");
    expect_warnings(f, POD("volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 1Mi}}],"), "");
    expect_warnings(f, POD("volumes: [{name: v, emptyDir: {sizeLimit: 1Mi}}],"), "");
}

/* What Kubernetes v1.33 has and v1.29 had not. */
static void the_field_set_is_that_of_kubernetes_1_33(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "pod.spec.resources.requests",
        "pod.spec.resourceClaims.resourceClaimName",
        "pod.spec.resourceClaims.resourceClaimTemplateName",
        "pod.spec.securityContext.appArmorProfile.localhostProfile",
        "pod.spec.securityContext.supplementalGroupsPolicy",
        "pod.spec.securityContext.seLinuxChangePolicy",
        "pod.spec.containers.securityContext.appArmorProfile.type",
        "pod.spec.initContainers.lifecycle.stopSignal",
        "pod.spec.containers.volumeMounts.recursiveReadOnly",
        "pod.spec.containers.resources.claims.request",
        "pod.spec.ephemeralContainers.resizePolicy.resourceName",
        "pod.spec.volumes.image.reference",
        "pod.spec.volumes.image.pullPolicy",
        "pod.spec.volumes.projected.sources.clusterTrustBundle.signerName",
        "pod.spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution.mismatchLabelKeys",
        "pod.status.observedGeneration",
        "pod.status.hostIPs.ip",
        "pod.status.podIPs.ip",
        "pod.status.resize",
        "pod.status.conditions.observedGeneration",
        "pod.status.containerStatuses.volumeMounts.recursiveReadOnly",
        "pod.status.containerStatuses.user.linux.supplementalGroups",
        "pod.status.containerStatuses.allocatedResourcesStatus.resources.health",
        "pod.status.initContainerStatuses.stopSignal",
        "node.status.nodeInfo.swap.capacity",
        "node.status.runtimeHandlers.features.userNamespaces",
        "node.status.features.supplementalGroupsPolicy",
        "deployment.spec.template.spec.resources.limits",
        "deployment.status.terminatingReplicas",
        "replicaset.status.terminatingReplicas",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct error err = {0};
        if (kind_explain(&b, str_of(paths[i]), false, &err) != 0) {
            fail_msg("%s", err.message);
        }
    }
}

static void explain_place(const struct place *p, void *data)
{
    (void)data;
    const struct field *f = p->chain[p->depth - 1];
    CLEANUP_BUF struct buf path = BUF_INIT;
    CLEANUP_BUF struct buf page = BUF_INIT;
    struct error err = {0};
    buf_puts(&path, p->kind->plural);
    for (unsigned i = 0; i < p->depth; i++) {
        buf_printf(&path, ".%s", p->chain[i]->name);
    }
    assert_int_equal(kind_explain(&page, buf_str(&path), false, &err), 0);
    const char *fields = strstr(buf_cstr(&page), "\nFIELDS:"), *said = strstr(buf_cstr(&page), "Not carried out yet");
    bool own = said != NULL && (fields == NULL || said < fields);
    if (own != (f->state != FIELD_DONE)) {
        fail_msg("rctl explain %s: says that it is not carried out, or does not, unlike its row", buf_cstr(&path));
    }
}

static void explain_tells_what_is_not_carried_out(void **state)
{
    struct fixture *f = *state;
    walk_all(explain_place, NULL);
    /* The page of a map marks its members, one line each. */
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(kind_explain(&b, STR("pod.spec"), false, NULL), 0);
    for (unsigned i = 0; i < schema_pod_spec.count; i++) {
        const struct field *field = &schema_pod_spec.fields[i];
        const char *line = strstr(buf_cstr(&b), arena_printf(&f->arena, "\n  %s\t<", field->name));
        assert_non_null(line);
        const char *end = strchr(line + 1, '\n'), *mark = strstr(line, "carried out yet)");
        assert_int_equal(mark != NULL && mark < end, field->state != FIELD_DONE);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_field_of_every_kind_does_what_its_row_says),
        TEST(a_field_that_nobody_reads_is_not_called_done),
        TEST(promises_that_are_not_kept_are_refused),
        TEST(an_object_that_has_it_already_can_still_be_changed),
        TEST(what_matters_less_is_warned_of),
        TEST(the_field_set_is_that_of_kubernetes_1_33),
        TEST(explain_tells_what_is_not_carried_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Bodies in Kubernetes' protobuf form: what typed clients in Go send is the document that their JSON would be, to the
 * byte of what is stored; and what is no message is refused, with the place. Bodies are written in the notation of
 * proto_protobuf_kit.h; numbers of fields are proto_kind_numbers' business. */
#include "proto/protobuf/protobuf.h"

#include <glob.h>
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"
#include "tests/unit/proto_protobuf_kit.h"

static int read_body(struct fixture *f, const struct buf *body, struct value **doc)
{
    f->err = (struct error){0};
    *doc = NULL;
    return protobuf_read(&f->arena, body->data, body->size, STR_NONE, STR_NONE, doc, &f->err);
}

static struct value *read_message(struct fixture *f, const char *api_version, const char *kind, const char *message)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    struct value *doc;
    pbkit_body(&body, api_version, kind, message);
    if (read_body(f, &body, &doc) != 0) {
        fail_msg("%s", f->err.message);
    }
    return doc;
}

/* The same as it stands and, of kinds, as it is stored. */
static void is_the_same(struct fixture *f, struct value *doc, struct value *like)
{
    CLEANUP_BUF struct buf one = BUF_INIT;
    CLEANUP_BUF struct buf two = BUF_INIT;
    const struct kind *k =
        kind_of_request(value_to_str(value_get(doc, "apiVersion")), value_to_str(value_get(doc, "kind")));
    if (k == NULL) {
        k = kind_of_document(&f->arena, doc, &f->err);
        assert_non_null(k);
        assert_ptr_equal(kind_of_document(&f->arena, like, &f->err), k);
    }
    if (kind_check_fields(k, &f->arena, doc, 0, &f->err) != 0 ||
        kind_check_fields(k, &f->arena, like, 0, &f->err) != 0) {
        fail_msg("%s", f->err.message);
    }
    json_write_canonical(&one, doc);
    json_write_canonical(&two, like);
    assert_string_equal(buf_cstr(&one), buf_cstr(&two));
    buf_reset(&one);
    buf_reset(&two);
    kind_encode(k, doc, &one);
    kind_encode(k, like, &two);
    assert_int_equal(one.size, two.size);
    assert_memory_equal(one.data, two.data, one.size);
}

static struct value *read_json(struct fixture *f, struct str text)
{
    struct value *v;
    if (json_read(&f->arena, text, &v, &f->err) != 0) {
        fail_msg("%s", f->err.message);
    }
    return v;
}

static void reads_as(struct fixture *f, const char *api_version, const char *kind, const char *message,
                     const char *json)
{
    CLEANUP_FREE char *text =
        xasprintf("{\"apiVersion\":\"%s\",\"kind\":\"%s\"%s%s}", api_version, kind, json[0] == '\0' ? "" : ",", json);
    is_the_same(f, read_message(f, api_version, kind, message), read_json(f, str_of(text)));
}

static void refused(struct fixture *f, const char *api_version, const char *kind, const char *message, int code,
                    const char *words)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    struct value *doc;
    pbkit_body(&body, api_version, kind, message);
    int rc = read_body(f, &body, &doc);
    if (rc != code || strstr(f->err.message, words) == NULL) {
        fail_msg("%s: %s, not %s: %s", message, err_reason(rc), err_reason(code), f->err.message);
    }
    assert_null(doc);
}

/* ---- What clients send ---- */

/* The fields of metadata that Go writes whether they are set or not. */
#define META(name, rest) "1 {1 \"" name "\" 2 \"\" 3 \"default\" 4 \"\" 5 \"\" 6 \"\" 7 0 8 {} " rest "}"

static void kubectl_create_configmap(void **state)
{
    reads_as(*state, "v1", "ConfigMap", META("c", "") " 2 {1 \"a\" 2 \"1\"} 2 {1 \"b\" 2 \"\"} 2 {1 \"e\"}",
             "\"metadata\":{\"name\":\"c\",\"namespace\":\"default\"},\"data\":{\"a\":\"1\",\"b\":\"\",\"e\":\"\"}");
}

static void a_release_of_helm(void **state)
{
    reads_as(*state, "v1", "Secret",
             META("sh.helm.release.v1.x.v1",
                  "11 {1 \"owner\" 2 \"helm\"} 11 {1 \"name\" 2 \"x\"}") " 2 {1 \"release\" 2 <48347349>} 3 "
                                                                         "\"helm.sh/release.v1\"",
             "\"metadata\":{\"name\":\"sh.helm.release.v1.x.v1\",\"namespace\":\"default\",\"labels\":{\"name\":\"x\","
             "\"owner\":\"helm\"}},\"type\":\"helm.sh/release.v1\",\"data\":{\"release\":\"SDRzSQ==\"}");
}

static void kubectl_create_deployment(void **state)
{
    reads_as(*state, "apps/v1", "Deployment",
             META("web",
                  "11 {1 \"app\" 2 \"web\"}") " 2 {1 0 2 {1 {1 \"app\" 2 \"web\"}} 3 {1 {1 \"\" 2 \"\" 3 \"\" 4 \"\" 5 "
                                              "\"\" 6 \"\" 7 0 8 {} 11 {1 "
                                              "\"app\" 2 \"web\"}} 2 {2 {1 \"nginx\" 2 \"nginx:1\" 5 \"\" 6 {1 \"\" 2 "
                                              "0 3 80 4 \"\" 5 \"\"} 8 {} 13 "
                                              "\"\" 14 \"\" 16 0 17 0 18 0 20 \"\"} 3 \"\" 6 \"\" 8 \"\" 9 \"\" 10 "
                                              "\"\" 11 0 12 0 13 0 16 \"\" 17 "
                                              "\"\" 19 \"\" 24 \"\"}} 4 {1 \"\"} 5 0 7 0} 3 {1 0 2 0 3 0 4 0 5 0 7 0}",
             "\"metadata\":{\"name\":\"web\",\"namespace\":\"default\",\"creationTimestamp\":null,\"labels\":{\"app\":"
             "\"web\"}},\"spec\":{\"replicas\":0,\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"strategy\":{},"
             "\"template\":{\"metadata\":{\"creationTimestamp\":null,\"labels\":{\"app\":\"web\"}},\"spec\":{"
             "\"containers\":[{\"name\":\"nginx\",\"image\":\"nginx:1\",\"ports\":[{\"containerPort\":80}],"
             "\"resources\":{}}]}}},\"status\":{}");
}

/* Messages of their own where JSON has their fields beside the others: sources of volumes, handlers of probes, names of
 * objects, what an ephemeral container has of a container. */
static void embedded_messages(void **state)
{
    reads_as(*state, "v1", "Pod",
             META("p", "") " 2 {1 {1 \"v\" 2 {19 {1 {1 \"c\"} 2 {1 \"k\" 2 \"p\" 3 0} 3 420 4 0}}} 1 {1 \"h\" 2 {1 {1 "
                           "\"/srv\" 2 \"\"}}} 1 {1 \"e\" 2 {2 {1 \"Memory\" 2 {1 \"1Gi\"}}}} 2 {1 \"a\" 7 {1 \"E\" 2 "
                           "\"\" 3 {3 {1 {1 \"c\"} 2 \"k\" 3 1}}} 19 {1 \"P_\" 2 {1 {1 \"c\"} 2 0}} 10 {1 {2 {1 "
                           "\"/ok\" 2 {1 1 2 0 3 \"web\"} 3 \"\" 4 \"\"}} 2 7 3 0 4 0 5 0 6 0} 8 {2 {1 \"cpu\" 2 {1 "
                           "\"500m\"}}}} 34 {1 {1 \"dbg\" 2 \"x\" 8 {}} 2 \"a\"}}",
             "\"metadata\":{\"name\":\"p\",\"namespace\":\"default\"},\"spec\":{\"volumes\":[{\"name\":\"v\","
             "\"configMap\":{\"name\":\"c\",\"items\":[{\"key\":\"k\",\"path\":\"p\",\"mode\":0}],\"defaultMode\":420,"
             "\"optional\":false}},{\"name\":\"h\",\"hostPath\":{\"path\":\"/srv\"}},{\"name\":\"e\",\"emptyDir\":{"
             "\"medium\":\"Memory\",\"sizeLimit\":\"1Gi\"}}],\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"E\","
             "\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"c\",\"key\":\"k\",\"optional\":true}}}],\"envFrom\":[{"
             "\"prefix\":\"P_\",\"configMapRef\":{\"name\":\"c\",\"optional\":false}}],\"livenessProbe\":{\"httpGet\":{"
             "\"path\":\"/ok\",\"port\":\"web\"},\"initialDelaySeconds\":7},\"resources\":{\"requests\":{\"cpu\":"
             "\"500m\"}}}],\"ephemeralContainers\":[{\"name\":\"dbg\",\"image\":\"x\",\"resources\":{},"
             "\"targetContainerName\":\"a\"}]}");
}

/* [1 protobuf-types] */
static void a_service(void **state)
{
    reads_as(*state, "v1", "Service",
             META("s", "") " 2 {1 {1 \"h\" 2 \"TCP\" 3 80 4 {1 0 2 8080 3 \"\"} 5 0} 1 {1 \"n\" 3 81 4 {1 1 2 0 3 "
                           "\"web\"} 5 0} 2 {1 \"app\" 2 \"x\"} 3 \"\" 4 \"ClusterIP\" 7 \"\" 8 \"\" 10 \"\" 11 \"\" "
                           "12 0 13 0} 3 {1 {}}",
             "\"metadata\":{\"name\":\"s\",\"namespace\":\"default\"},\"spec\":{\"ports\":[{\"name\":\"h\","
             "\"protocol\":\"TCP\",\"port\":80,\"targetPort\":8080},{\"name\":\"n\",\"port\":81,\"targetPort\":\"web\"}"
             "],\"selector\":{\"app\":\"x\"},\"type\":\"ClusterIP\"},\"status\":{\"loadBalancer\":{}}");
}

/* [1 protobuf-types] */
static void times(void **state)
{
    reads_as(*state, "coordination.k8s.io/v1", "Lease",
             META("l", "") " 2 {1 \"me\" 2 15 3 {1 1767225600 2 123456789} 4 {1 1767225601} 5 0}",
             "\"metadata\":{\"name\":\"l\",\"namespace\":\"default\"},\"spec\":{\"holderIdentity\":\"me\","
             "\"leaseDurationSeconds\":15,\"acquireTime\":\"2026-01-01T00:00:00.123456Z\",\"renewTime\":"
             "\"2026-01-01T00:00:01.000000Z\",\"leaseTransitions\":0}");
    reads_as(*state, "v1", "ConfigMap", "1 {1 \"c\" 8 {1 1767225600 2 5}}",
             "\"metadata\":{\"name\":\"c\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\"}");
    reads_as(*state, "v1", "ConfigMap", "1 {1 \"c\" 8 {1 -1}}",
             "\"metadata\":{\"name\":\"c\",\"creationTimestamp\":\"1969-12-31T23:59:59Z\"}");
}

static void an_empty_class_is_a_class(void **state)
{
    reads_as(*state, "v1", "PersistentVolumeClaim",
             META("c", "") " 2 {1 \"ReadWriteOnce\" 2 {2 {1 \"storage\" 2 {1 "
                           "\"1Gi\"}}} 3 \"\" 5 \"\"} 3 {1 \"\"}",
             "\"metadata\":{\"name\":\"c\",\"namespace\":\"default\"},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],"
             "\"resources\":{\"requests\":{\"storage\":\"1Gi\"}},\"storageClassName\":\"\"},\"status\":{}");
}

static void another_version(void **state)
{
    reads_as(*state, "autoscaling/v1", "HorizontalPodAutoscaler",
             META("h", "") " 2 {1 {1 \"Deployment\" 2 \"web\" 3 \"apps/v1\"} 2 1 3 5 4 80} 3 {3 0 4 0}",
             "\"metadata\":{\"name\":\"h\",\"namespace\":\"default\"},\"spec\":{\"scaleTargetRef\":{\"kind\":"
             "\"Deployment\",\"name\":\"web\",\"apiVersion\":\"apps/v1\"},\"minReplicas\":1,\"maxReplicas\":5,"
             "\"targetCPUUtilizationPercentage\":80},\"status\":{\"currentReplicas\":0,\"desiredReplicas\":0}");
}

static void json_in_a_message(void **state)
{
    /* {"f:x":{}} and {"spec":{"a":[1,2]}} */
    reads_as(
        *state, "apps/v1", "ControllerRevision",
        "1 {1 \"r\" 17 {1 \"m\" 2 \"Update\" 6 \"FieldsV1\" 7 {1 <7b22663a78223a7b7d7d>}}} 2 {1 "
        "<7b2273706563223a7b2261223a5b312c325d7d7d>} 3 7",
        "\"metadata\":{\"name\":\"r\",\"managedFields\":[{\"manager\":\"m\",\"operation\":\"Update\",\"fieldsType\":"
        "\"FieldsV1\",\"fieldsV1\":{\"f:x\":{}}}]},\"data\":{\"spec\":{\"a\":[1,2]}},\"revision\":7");
    reads_as(*state, "apps/v1", "ControllerRevision", "1 {1 \"r\"} 2 {} 3 7",
             "\"metadata\":{\"name\":\"r\"},\"revision\":7");
}

static void requests(void **state)
{
    reads_as(*state, "apps/v1", "DeleteOptions", "1 0 2 {1 \"u\"} 4 \"Foreground\" 5 \"All\"",
             "\"gracePeriodSeconds\":0,\"preconditions\":{\"uid\":\"u\"},\"propagationPolicy\":\"Foreground\","
             "\"dryRun\":[\"All\"]");
    /* A condition that no object fulfils is not none. */
    reads_as(*state, "v1", "DeleteOptions", "2 {1 \"\"}", "\"preconditions\":{\"uid\":\"\"}");
    reads_as(*state, "authorization.k8s.io/v1", "SubjectAccessReview",
             "1 {1 \"\"} 2 {1 {1 \"ns\" 2 \"get\" 3 \"\" 5 \"pods\" 7 \"\"} 3 \"jane\" 4 \"dev\" 4 \"ops\" 5 {1 \"k\" "
             "2 {1 \"v\" 1 \"\"}} 6 \"\"} 3 {1 0 2 \"\"}",
             "\"metadata\":{},\"spec\":{\"resourceAttributes\":{\"namespace\":\"ns\",\"verb\":\"get\",\"resource\":"
             "\"pods\"},\"user\":\"jane\",\"groups\":[\"dev\",\"ops\"],\"extra\":{\"k\":[\"v\",\"\"]}},\"status\":{"
             "\"allowed\":false}");
    reads_as(*state, "authentication.k8s.io/v1", "TokenRequest", "1 {1 \"\"} 2 {1 \"api\" 3 {1 \"Pod\" 3 \"p\"} 4 600}",
             "\"metadata\":{},\"spec\":{\"audiences\":[\"api\"],\"boundObjectRef\":{\"kind\":\"Pod\",\"name\":\"p\"},"
             "\"expirationSeconds\":600}");
    reads_as(*state, "policy/v1", "Eviction", "1 {1 \"p\" 3 \"ns\"} 2 {1 30}",
             "\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\"},\"deleteOptions\":{\"gracePeriodSeconds\":30}");
    reads_as(*state, "v1", "Binding", "1 {1 \"p\"} 2 {1 \"Node\" 2 \"\" 3 \"n1\"}",
             "\"metadata\":{\"name\":\"p\"},\"target\":{\"kind\":\"Node\",\"name\":\"n1\"}");
    reads_as(*state, "autoscaling/v1", "Scale", "1 {1 \"d\"} 2 {1 3} 3 {1 2 2 \"app=x\"}",
             "\"metadata\":{\"name\":\"d\"},\"spec\":{\"replicas\":3},\"status\":{\"replicas\":2,\"selector\":"
             "\"app=x\"}");
}

/* ---- Forms ---- */

static void numbers_of_a_list_together_or_one_by_one(void **state)
{
    static const char *const lists[] = {"4 1 4 300 4 0", "4 <01ac0200>", "4 1 4 <ac02> 4 0"};
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        CLEANUP_FREE char *message = xasprintf("1 {1 \"p\"} 2 {14 {%s}}", lists[i]);
        reads_as(*state, "v1", "Pod", message,
                 "\"metadata\":{\"name\":\"p\"},\"spec\":{\"securityContext\":{\"supplementalGroups\":[1,300,0]}}");
    }
}

static void numbers_that_nobody_knows_are_passed_over(void **state)
{
    reads_as(*state, "v1", "ConfigMap", "1 {1 \"c\" 999 {1 5} 1000 7} 536870911 <ff00> 2 {1 \"a\" 2 \"b\" 3 9}",
             "\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"b\"}");
}

static void negative_and_large_numbers(void **state)
{
    reads_as(*state, "scheduling.k8s.io/v1", "PriorityClass", "1 {1 \"p\"} 2 -5 3 0 4 \"\"",
             "\"metadata\":{\"name\":\"p\"},\"value\":-5");
}

static void the_address_says_the_kind_if_the_envelope_does_not(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf body = BUF_INIT;
    struct value *doc;
    pbkit_body(&body, "", "", "1 {1 \"c\"}");
    assert_int_equal(protobuf_read(&f->arena, body.data, body.size, STR("v1"), STR("ConfigMap"), &doc, &f->err), 0);
    assert_true(str_is(value_to_str(value_get(doc, "kind")), "ConfigMap"));
    assert_true(str_is(value_path_str(doc, "metadata.name"), "c"));
}

/* ---- What is refused ---- */

static void kinds_without_a_message(void **state)
{
    refused(*state, "v1", "Gadget", "", ERR_USAGE, "no kind \"Gadget\" is registered for version \"v1\"");
    refused(*state, "apps/v1", "Pod", "", ERR_USAGE, "no kind \"Pod\" is registered for version \"apps/v1\"");
    refused(*state, "extensions/v1beta1", "Deployment", "", ERR_USAGE, "no kind \"Deployment\"");
    refused(*state, "reeve.io/v1", "ClusterConfiguration", "", ERR_USAGE, "no kind \"ClusterConfiguration\"");
    struct fixture *f = *state;
    struct value *doc;
    CLEANUP_BUF struct buf body = BUF_INIT;
    pbkit_body(&body, "", "Gadget", ""); /* and the address names no version either */
    assert_int_equal(protobuf_read(&f->arena, body.data, body.size, STR_NONE, STR_NONE, &doc, &f->err), ERR_USAGE);
    assert_non_null(strstr(f->err.message, "no kind \"Gadget\" is registered for version \"\""));
}

static void what_is_wrong_is_told_with_its_place(void **state)
{
    refused(*state, "v1", "ConfigMap", "1 7", ERR_PROTOCOL, "metadata: is of another type");
    refused(*state, "v1", "ConfigMap", "1 {1 <ff>}", ERR_PROTOCOL, "metadata.name: the text is not UTF-8");
    refused(*state, "v1", "ConfigMap", "1 {1 \"c\"} 1 {1 \"d\"}", ERR_PROTOCOL, "metadata: comes twice");
    refused(*state, "v1", "ConfigMap", "1 {1 \"c\" 1 \"d\"}", ERR_PROTOCOL, "metadata.name: comes twice");
    refused(*state, "v1", "ConfigMap", "2 {1 \"a\" 2 \"1\"} 2 {1 \"a\" 2 \"1\"}", ERR_PROTOCOL, "data[a]: comes twice");
    refused(*state, "v1", "ConfigMap", "1 {8 {1 999999999999}}", ERR_PROTOCOL, "metadata.creationTimestamp: must be");
    refused(*state, "v1", "ConfigMap", "1 {1 \"c\"} 7 <> 0 1", ERR_PROTOCOL, "the body: cut short, or no message");
    refused(*state, "v1", "Service", "2 {1 {4 {1 2}}}", ERR_PROTOCOL, "spec.ports[0].targetPort: must be a number");
    refused(*state, "v1", "Pod", "2 {1 {1 \"v\" 2 7}}", ERR_PROTOCOL, "spec.volumes[0]: has a field of another type");
    refused(*state, "v1", "Pod", "2 {14 {4 <ff>}}", ERR_PROTOCOL, "spec.securityContext.supplementalGroups: cut short");
    refused(*state, "apps/v1", "ControllerRevision", "2 {1 \"{\"}", ERR_PROTOCOL, "data: ");
    refused(*state, "v1", "PersistentVolume", "2 {2 {1 {1 \"disk\"}}}", ERR_INVALID,
            "spec.gcePersistentDisk: not carried out yet");
}

/* [1 protobuf-envelope] */
static void what_is_no_body(void **state)
{
    struct fixture *f = *state;
    static const char *const bodies[] = {"", "k8s", "{\"kind\":\"Pod\"}"};
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value *doc;
    for (unsigned i = 0; i < ARRAY_SIZE(bodies); i++) {
        buf_reset(&b);
        buf_puts(&b, bodies[i]);
        assert_int_equal(read_body(f, &b, &doc), ERR_PROTOCOL);
    }
    buf_reset(&b);
    buf_append(&b, "k8s", 4);
    pbkit_fields(&b, "1 {1 \"v1\" 2 \"Pod\"} 2 {} 3 \"gzip\"");
    assert_int_equal(read_body(f, &b, &doc), ERR_PROTOCOL);
    assert_int_equal(protobuf_read(&f->arena, b.data, PROTOBUF_SIZE_MAX + 1, STR_NONE, STR_NONE, &doc, &f->err),
                     ERR_TOO_LARGE);
}

/* Small bodies that would be large documents. */
static void bodies_have_bounds(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *kind, *head, *item;
        unsigned count;
    } rows[] = {
        {"Pod", "", "2 {}", VALUE_ITEMS_MAX + 1},         /* containers */
        {"Pod", "", "7 {1 \"\"}", VALUE_MEMBERS_MAX + 1}, /* keys */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        CLEANUP_BUF struct buf text = BUF_INIT;
        struct value *doc;
        buf_puts(&text, "2 {");
        for (unsigned n = 0; n < rows[i].count; n++) {
            buf_puts(&text, rows[i].item);
        }
        buf_puts(&text, "}");
        pbkit_body(&b, "v1", rows[i].kind, buf_cstr(&text));
        assert_int_equal(read_body(f, &b, &doc), ERR_TOO_LARGE);
    }
    CLEANUP_BUF struct buf lists = BUF_INIT; /* lists of lists: each is short enough */
    CLEANUP_BUF struct buf one = BUF_INIT;
    CLEANUP_BUF struct buf body = BUF_INIT;
    struct value *doc;
    for (unsigned n = 0; n < 10000; n++) {
        buf_puts(&one, "6 {}");
    }
    buf_puts(&lists, "2 {");
    for (unsigned n = 0; n < PROTOBUF_NODES_MAX / 10000 + 1; n++) {
        buf_puts(&lists, "2 {");
        buf_append_str(&lists, buf_str(&one));
        buf_puts(&lists, "}");
    }
    buf_puts(&lists, "}");
    pbkit_body(&body, "v1", "Pod", buf_cstr(&lists));
    assert_int_equal(read_body(f, &body, &doc), ERR_TOO_LARGE);
    assert_non_null(strstr(f->err.message, "too many parts"));
}

static void what_is_passed_over_has_a_bound(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf text = BUF_INIT;
    CLEANUP_BUF struct buf body = BUF_INIT;
    struct value *doc;
    for (unsigned n = 0; n <= PROTOBUF_NODES_MAX; n++) {
        buf_puts(&text, "122 0 ");
    }
    pbkit_body(&body, "v1", "ConfigMap", buf_cstr(&text));
    assert_int_equal(read_body(f, &body, &doc), ERR_TOO_LARGE);
}

/* Every body cut short, and with every byte another one: an error with a text, or a document. */
static void damaged_bodies(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    pbkit_body(&b, "v1", "Pod",
               META("p", "11 {1 \"a\" 2 \"b\"}") " 2 {1 {1 \"v\" 2 {19 {1 {1 \"c\"}}}} 2 {1 \"a\" 10 {1 {2 {2 {1 1 3 "
                                                 "\"w\"}}}} 8 {1 {1 \"cpu\" 2 {1 \"1\"}}}} 14 {4 1 4 2}}");
    for (size_t at = 0; at < b.size; at++) {
        for (unsigned change = 0; change < 256; change += change < 8 ? 1 : 31) {
            CLEANUP_ARENA struct arena a;
            struct error err = {0};
            struct value *doc = NULL;
            arena_init(&a);
            b.data[at] = (uint8_t)(b.data[at] ^ change);
            int rc = protobuf_read(&a, b.data, change == 0 ? at : b.size, STR_NONE, STR_NONE, &doc, &err);
            b.data[at] = (uint8_t)(b.data[at] ^ change);
            assert_true(rc == 0 ? doc != NULL : doc == NULL && err.code == rc && err.message[0] != '\0');
        }
    }
    struct value *doc;
    assert_int_equal(read_body(f, &b, &doc), 0);
}

/* ---- What was sent ---- */

static bool read_file(const char *path, struct buf *out)
{
    FILE *in = fopen(path, "re");
    size_t n = 0;
    assert_non_null(in);
    do {
        n = fread(buf_reserve(out, 4096), 1, 4096, in);
        out->size += n;
    } while (n > 0);
    return fclose(in) == 0;
}

/* Bodies of `kubectl create ...` (1.32), and what it prints of the same with --dry-run=client -o json. */
static void what_kubectl_sent_and_what_it_says_of_it(void **state)
{
    struct fixture *f = *state;
    glob_t files;
    assert_int_equal(glob("tests/unit/data/protobuf/*.json", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        CLEANUP_BUF struct buf body = BUF_INIT;
        CLEANUP_BUF struct buf json = BUF_INIT;
        struct value *doc;
        const char *path = files.gl_pathv[i];
        assert_true(read_file(arena_strndup(&f->arena, path, strlen(path) - strlen(".json")), &body));
        assert_true(read_file(path, &json));
        if (read_body(f, &body, &doc) != 0) {
            fail_msg("%s: %s", path, f->err.message);
        }
        is_the_same(f, doc, read_json(f, buf_str(&json)));
    }
    assert_true(files.gl_pathc >= 9);
    globfree(&files);
}

/* ---- Every kind ---- */

/* What is answered, of a document and of what is stored of it, reads back; it has as many bytes as the kit's. */
static void is_written_alike(struct fixture *f, const struct kind *k, struct value *doc, const struct buf *kit)
{
    CLEANUP_BUF struct buf written = BUF_INIT, stored = BUF_INIT;
    struct value *back;
    assert_true(protobuf_write_document(&written, doc));
    assert_int_equal(written.size, kit->size);
    if (read_body(f, &written, &back) != 0 || kind_check(k, &f->arena, back, NULL, 0, &f->err) != 0 ||
        !kind_equal(k, "", doc, back)) {
        fail_msg("%s: a document is written otherwise: %s", k->name, f->err.message);
    }
    buf_reset(&written);
    value_remove(value_get(doc, "metadata"), "resourceVersion"); /* which is not stored */
    kind_encode(k, doc, &stored);
    size_t at = protobuf_open(&written, str_of(k->api_version), str_of(k->name));
    protobuf_write_message(&written, k->schema, mp_of(stored.data, stored.size), &(struct protobuf_extra){0});
    protobuf_close(&written, at);
    if (read_body(f, &written, &back) != 0 || kind_check(k, &f->arena, back, NULL, 0, &f->err) != 0 ||
        !kind_equal(k, "", doc, back)) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        json_write(&text, doc, 0);
        buf_puts(&text, "\nis not\n");
        json_write(&text, back, 0);
        fail_msg("%s: what is stored is written otherwise: %s\n%s", k->name, f->err.message, buf_cstr(&text));
    }
}

/* A document written as a message by the tables. True if there was something to compare. */
static bool reads_back(struct fixture *f, struct value *doc, bool *seen)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value *back;
    const struct kind *k = kind_of_document(&f->arena, doc, &f->err);
    if (k == NULL || kind_check(k, &f->arena, doc, NULL, 0, &f->err) != 0 || !pbkit_document(&b, k, doc)) {
        return false;
    }
    if (read_body(f, &b, &back) != 0 || kind_check(k, &f->arena, back, NULL, 0, &f->err) != 0) {
        fail_msg("%s: %s", k->name, f->err.message);
    }
    if (!kind_equal(k, "", doc, back)) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        json_write(&text, doc, 0);
        buf_puts(&text, "\nis not\n");
        json_write(&text, back, 0);
        fail_msg("%s", buf_cstr(&text));
    }
    is_written_alike(f, k, doc, &b);
    seen[k->id] = true;
    return true;
}

/* What is no part of the stored bytes, and what they have that clients know otherwise. */
static void an_object_with_its_version_and_managers(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf out = BUF_INIT, body = BUF_INIT, managed = BUF_INIT;
    struct value *doc, *list = read_json(f, STR("[{\"manager\":\"m\",\"operation\":\"Update\",\"apiVersion\":\"v1\","
                                                "\"time\":\"2026-01-02T03:04:05Z\",\"fieldsType\":\"FieldsV1\","
                                                "\"fieldsV1\":{\"f:data\":{\"f:k\":{}}}}]"));
    msgpack_write_value(&managed, list);
    msgpack_write_value(&body, read_json(f, STR("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                                                "\"c\"},\"data\":{\"k\":\"v\"},\"strange\":[1],\"immutable\":null}")));
    const struct protobuf_extra x = {.revision = 77, .managed = mp_of(managed.data, managed.size)};
    size_t at = protobuf_open(&out, STR("v1"), STR("ConfigMap"));
    protobuf_write_message(&out, kind_by_id(KIND_CONFIGMAP)->schema, mp_of(body.data, body.size), &x);
    protobuf_close(&out, at);
    assert_int_equal(read_body(f, &out, &doc), 0);
    assert_string_equal(value_path_str(doc, "metadata.resourceVersion").p, "77");
    assert_true(value_equal(value_path(doc, "metadata.managedFields"), list));
    assert_true(value_equal(value_get(doc, "data"), read_json(f, STR("{\"k\":\"v\"}"))));
    assert_null(value_get(doc, "strange"));
    buf_reset(&out);
    at = protobuf_open(&out, STR("meta.k8s.io/v1"), STR("PartialObjectMetadata"));
    protobuf_write_partial(&out, mp_get(mp_of(body.data, body.size), "metadata"), &x);
    protobuf_close(&out, at);
    assert_int_equal(read_body(f, &out, &doc), 0);
    assert_string_equal(value_path_str(doc, "metadata.name").p, "c");
    assert_string_equal(value_path_str(doc, "metadata.resourceVersion").p, "77");
    assert_null(value_get(doc, "data"));
}

/* A Status of every form, and messages of all lengths of their length. */
static void answers_that_are_documents(void **state)
{
    static const char *const texts[] = {
        "{\"apiVersion\":\"v1\",\"kind\":\"Status\",\"metadata\":{},\"status\":\"Success\",\"details\":{\"name\":\"x\","
        "\"kind\":\"pods\",\"uid\":\"u\"}}",
        "{\"apiVersion\":\"v1\",\"kind\":\"Status\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"no\","
        "\"reason\":"
        "\"Invalid\",\"details\":{\"causes\":[{\"reason\":\"FieldValueInvalid\",\"message\":\"m\",\"field\":\"f\"}],"
        "\"retryAfterSeconds\":1},\"code\":422}",
        "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"Scale\",\"metadata\":{\"name\":\"d\"},\"spec\":{\"replicas\":3},"
        "\"status\":{\"replicas\":2,\"selector\":\"a=b\"}}",
    };
    struct fixture *f = *state;
    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT;
        struct value *back, *doc = read_json(f, str_of(texts[i]));
        assert_true(protobuf_write_document(&out, doc));
        assert_int_equal(read_body(f, &out, &back), 0);
        assert_true(value_equal(doc, back));
    }
    for (size_t n = 1; n < (1u << 22); n = n * 127 / 64 + 1) {
        CLEANUP_BUF struct buf out = BUF_INIT, text = BUF_INIT;
        struct value *back, *doc = read_json(f, str_of(texts[0]));
        memset(buf_reserve(&text, n), 'x', n);
        value_set(&f->arena, doc, "message", value_str(&f->arena, (struct str){(const char *)text.data, n}));
        assert_true(protobuf_write_document(&out, doc));
        if (out.size <= PROTOBUF_SIZE_MAX) {
            assert_int_equal(read_body(f, &out, &back), 0);
            assert_true(value_equal(doc, back));
        }
    }
    CLEANUP_BUF struct buf none = BUF_INIT;
    assert_false(protobuf_write_document(&none, read_json(f, STR("{\"apiVersion\":\"a.b/v1\",\"kind\":\"Odd\"}"))));
    assert_false(protobuf_write_document(&none, read_json(f, STR("[1]"))));
    assert_int_equal(none.size, 0);
}

/* [1 protobuf-numbers] The rows that the tables of validation accept (proto_kind_rules). */
static void every_kind_there_and_back(void **state)
{
    static bool seen[256];
    struct fixture *f = *state;
    unsigned compared = 0, kinds = 0;
    glob_t files;
    assert_int_equal(glob("tests/script/validate/*.txt", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        FILE *in = fopen(files.gl_pathv[i], "re");
        char line[4096], frame[4096] = "@";
        assert_non_null(in);
        while (fgets(line, sizeof line, in) != NULL) {
            struct value **docs;
            unsigned count;
            line[strcspn(line, "\n")] = '\0';
            if (strncmp(line, "frame ", 6) == 0) {
                memcpy(frame, line + 6, strlen(line + 6) + 1);
            } else if (strncmp(line, "ok ", 3) == 0 || strncmp(line, "gives ", 6) == 0) {
                char *snippet = strchr(line, ' '), *at = strchr(frame, '@');
                CLEANUP_FREE char *text = xasprintf("%.*s%s%s", (int)(at - frame), frame, snippet, at + 1);
                if (yaml_read(&f->arena, str_of(text), NULL, &docs, &count, NULL) == 0 && count == 1) {
                    compared += reads_back(f, docs[0], seen);
                }
            }
        }
        fclose(in);
    }
    globfree(&files);
    for (unsigned i = 0; i < ARRAY_SIZE(seen); i++) {
        kinds += seen[i];
    }
    printf("%u documents of %u kinds\n", compared, kinds);
    assert_true(compared > 200 && kinds > 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(kubectl_create_configmap),
        TEST(a_release_of_helm),
        TEST(kubectl_create_deployment),
        TEST(embedded_messages),
        TEST(a_service),
        TEST(times),
        TEST(an_empty_class_is_a_class),
        TEST(another_version),
        TEST(json_in_a_message),
        TEST(requests),
        TEST(numbers_of_a_list_together_or_one_by_one),
        TEST(numbers_that_nobody_knows_are_passed_over),
        TEST(negative_and_large_numbers),
        TEST(the_address_says_the_kind_if_the_envelope_does_not),
        TEST(kinds_without_a_message),
        TEST(what_is_wrong_is_told_with_its_place),
        TEST(an_object_with_its_version_and_managers),
        TEST(answers_that_are_documents),
        TEST(what_is_no_body),
        TEST(bodies_have_bounds),
        TEST(what_is_passed_over_has_a_bound),
        TEST(damaged_bodies),
        TEST(what_kubectl_sent_and_what_it_says_of_it),
        TEST(every_kind_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Manifests in the forms that people write, given to a master twice: over REST, as clients of Kubernetes do it, and by
 * `rctl apply`. Each step of tests/script/manifests/NAME.txt says which rule it shows:
 *
 *   manifest [path=PLURAL] [real] [with=QUERY] [show=PATH,...] [by=ARGUMENT,...]
 *
 * body: the manifest. Shown is what REST answered to each of its documents (status, then kind and name, or reason and
 * where; warnings; what stands at the paths in an answered object), then rctl's exit code and what it printed.
 *
 * One document goes over the wire as it stands, as YAML; of several, and of a List, each by itself as JSON, as kubectl
 * sends them. It is a dry run, so that rctl makes the objects, but with `real`, where later documents need the earlier
 * ones: then rctl finds them made. path: the plural, where the master does not know the kind or the text is no YAML.
 * with: more of the query. by: further arguments of rctl. */
#include "tests/unit/kit/habits.h"

#include "proto/schema/kind.h"
#include "tests/script/script.h"

static int set_up(void **state)
{
    return habits_set_up(state, 0,
                         "rctl config kubeconfig -f kube >said && for n in certificate-authority client-certificate "
                         "client-key; do sed -n \"s/.*$n-data: *//p\" kube | tr -d '\"' | base64 -d >$n.pem || exit 1; "
                         "done && printf 'cacert=certificate-authority.pem\\ncert=client-certificate.pem\\n"
                         "key=client-key.pem\\nmax-time=20\\nno-progress-meter\\n' >curlrc",
                         NULL);
}

/* ---- Over REST ---- */

/* "web", "[0]" of lists by their number: "spec.containers.0.name". */
static void show_at(struct buf *out, const struct value *v, const char *path)
{
    while (v != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        v = value_is_list(v) ? value_item(v, (unsigned)atoi(path)) : value_get_str_key(v, (struct str){path, n});
        path += n + (path[n] == '.');
    }
    if (v == NULL) {
        buf_putc(out, '-');
    } else {
        json_write(out, v, 0);
    }
}

static void show_object(struct buf *out, struct arena *a, const struct value *doc, const char *paths)
{
    char *copy = arena_strdup(a, paths == NULL ? "" : paths), *save = NULL;
    struct str prefix = value_path_str(doc, "metadata.generateName"), name = value_path_str(doc, "metadata.name");
    bool made = prefix.n > 0 && str_starts(name, prefix);
    buf_printf(out, " %.*s/%.*s%s\n", STR_ARG(value_path_str(doc, "kind")), STR_ARG(made ? prefix : name),
               made ? "*" : "");
    for (char *p = strtok_r(copy, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
        buf_printf(out, "  %s: ", p);
        show_at(out, doc, p);
        buf_putc(out, '\n');
    }
}

static void show_status(struct buf *out, const struct value *doc)
{
    const struct value *causes = value_path(doc, "details.causes");
    buf_printf(out, " %.*s", STR_ARG(value_path_str(doc, "reason")));
    VALUE_FOR(i, causes)
    {
        const struct value *c = value_item(causes, i);
        buf_printf(out, "%s %.*s %.*s", i > 0 ? "," : ":", STR_ARG(value_path_str(c, "field")),
                   STR_ARG(value_path_str(c, "reason")));
    }
    if (value_count(causes) == 0) {
        buf_printf(out, ": %.*s", STR_ARG(value_path_str(doc, "message")));
    }
    buf_putc(out, '\n');
}

static void show_warnings(struct buf *out, const char *head)
{
    static const char name[] = "\nWarning: 299 - ";
    for (const char *at = head; (at = strstr(at, name)) != NULL;) {
        at += sizeof name - 1;
        buf_printf(out, "  warning: %.*s\n", (int)strcspn(at, "\r\n"), at);
    }
}

static const char *address_of(struct arena *a, const struct value *doc, const struct script_step *s)
{
    struct error err = {0};
    struct str version = value_path_str(doc, "apiVersion"), ns = value_path_str(doc, "metadata.namespace");
    const struct kind *k = doc == NULL ? NULL : kind_of_document(a, value_copy(a, doc), &err);
    const char *plural = script_word(s, "path") != NULL ? script_word(s, "path") : k != NULL ? k->plural : NULL;
    bool core = version.n == 0 || memchr(version.p, '/', version.n) == NULL;
    if (plural == NULL) {
        fail_msg("which address? say path=PLURAL: %s", err.message);
    }
    const char *in = k != NULL && !k->namespaced
                         ? ""
                         : arena_printf(a, "namespaces/%.*s/", ns.n > 0 ? (int)ns.n : 7, ns.n > 0 ? ns.p : "default");
    return arena_printf(a, "/%s/%.*s/%s%s", core ? "api" : "apis", version.n > 0 ? (int)version.n : 2,
                        version.n > 0 ? version.p : "v1", in, plural);
}

static void post(struct habits *h, const struct script_step *s, const struct value *doc, const char *type,
                 const char *text, struct buf *out)
{
    CLEANUP_ARENA struct arena a;
    struct value *answer = NULL;
    arena_init(&a);
    const char *with = script_word(s, "with");
    bool real = script_word(s, "real") != NULL;
    habits_file(h, "document", text);
    habits_must(h,
                arena_printf(&a,
                             "curl -K curlrc -D head -X POST -H 'Content-Type: %s' --data-binary @document "
                             "'https://%s%s?%s%s%s'",
                             type, h->kit->masters[0].addr, address_of(&a, doc, s), real ? "" : "dryRun=All",
                             real || with == NULL ? "" : "&", with == NULL ? "" : with),
                NULL);
    if (json_read(&a, str_of(arena_strdup(&a, h->out)), &answer, NULL) != 0) {
        fail_msg("no JSON: %s", h->out);
    }
    habits_must(h, "cat head", NULL);
    const char *code = strchr(h->out, ' ');
    buf_printf(out, "REST: %.3s", code == NULL ? "???" : code + 1);
    if (str_is(value_path_str(answer, "kind"), "Status")) {
        show_status(out, answer);
    } else {
        show_object(out, &a, answer, script_word(s, "show"));
    }
    show_warnings(out, h->out);
}

static void post_as_json(struct habits *h, const struct script_step *s, const struct value *doc, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    json_write(&text, doc, 0);
    post(h, s, doc, "application/json", buf_cstr(&text), out);
}

static void over_rest(struct habits *h, const struct script_step *s, struct buf *out)
{
    CLEANUP_ARENA struct arena a;
    struct value **docs = NULL;
    unsigned count = 0;
    arena_init(&a);
    if (yaml_read(&a, str_of(s->body), NULL, &docs, &count, NULL) != 0) {
        count = 0;
    }
    if (count <= 1 && (count == 0 || !str_is(value_path_str(docs[0], "kind"), "List"))) {
        post(h, s, count == 0 ? NULL : docs[0], "application/yaml", s->body, out);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct value *items = value_get(docs[i], "items");
        if (!str_is(value_path_str(docs[i], "kind"), "List")) {
            post_as_json(h, s, docs[i], out);
            continue;
        }
        VALUE_FOR(k, items)
        {
            post_as_json(h, s, value_item(items, k), out);
        }
    }
}

/* ---- By rctl ---- */

static void show_lines(struct buf *out, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, "\n");
        buf_printf(out, "%s%.*s\n", n > 0 ? "  " : "", (int)n, at);
        at += n + (at[n] == '\n');
    }
}

static void by_rctl(struct habits *h, const struct script_step *s, struct buf *out)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *by = script_word(s, "by");
    char *more = arena_strdup(&a, by == NULL ? "" : by);
    for (char *p = more; (p = strchr(p, ',')) != NULL;) {
        *p = ' ';
    }
    habits_file(h, "m.yaml", s->body);
    int code = habits_type(h, arena_printf(&a, "rctl apply -f m.yaml %s", more), NULL);
    buf_printf(out, "rctl: %d\n", code);
    show_lines(out, h->out);
    show_lines(out, h->err);
}

static void run_step(void *data, const struct script_step *s, struct buf *out)
{
    if (strcmp(s->command, "manifest") != 0) {
        fail_msg("no command %s", s->command);
    }
    over_rest(data, s, out);
    by_rctl(data, s, out);
}

/* ---- The scripts ---- */

#define SCRIPT(name)                                                                                                   \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        assert_true(script_run("tests/script/manifests/" #name ".txt", run_step, *state));                             \
    }
SCRIPT(workloads)
SCRIPT(pods)
SCRIPT(places)
SCRIPT(rights)
SCRIPT(spellings)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workloads), cmocka_unit_test(pods),      cmocka_unit_test(places),
        cmocka_unit_test(rights),    cmocka_unit_test(spellings),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}

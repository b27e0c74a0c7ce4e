/* Makes the first inputs of the targets that read binary forms, from real objects: tests/fuzz/merge keeps the best of
 * them.
 * usage: fuzz_seeds DIRECTORY      writes DIRECTORY/TARGET/NAME */
#include <sys/stat.h>

#include "master/api/list_token.h"
#include "proto/backup/backup.h"
#include "proto/backup/file.h"
#include "proto/pki/pki.h"
#include "proto/rpc/codec.h"
#include "proto/rpc/rpc.h"
#include "proto/text/text.h"
#include "raft-store/raft/raft_codec.h"
#include "raft-store/store/entry.h"
#include "raft-store/store/view_edit.h"
#include "tests/fuzz/kit_store.h"
#include "tests/unit/proto_protobuf_kit.h"

static const char *root;

static void put(const char *target, const char *name, unsigned head, struct str bytes)
{
    CLEANUP_FREE char *dir = xasprintf("%s/%s", root, target);
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
    mkdir(root, 0755);
    mkdir(dir, 0755);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    if (head <= 0xff) {
        fputc((int)head, f);
    }
    fwrite(bytes.p, 1, bytes.n, f);
    CHECK(fclose(f) == 0);
}
#define NO_HEAD 0x100u

/* ---- Objects, documents ---- */

static void put_objects(void)
{
    struct store *s = fuzz_store_new(false);
    struct view_iter it;
    view_iter_all(&it, store_committed(s));
    VIEW_FOR(o, &it)
    {
        CLEANUP_BUF struct buf wire = BUF_INIT;
        object_write_wire(&wire, o);
        put("object", o->kind->name, 0, buf_str(&wire));
        CLEANUP_FREE char *body = xasprintf("body-%s", o->kind->name);
        put("object", body, 2 * (o->kind->id - 1) + 1, (struct str){(const char *)object_body(o), o->body_size});
        put("msgpack", o->kind->name, NO_HEAD, buf_str(&wire));
    }
    store_free(s);
}

/* As typed clients send them, and what is sent along. */
static void put_bodies(void)
{
    struct store *s = fuzz_store_new(false);
    struct view_iter it;
    view_iter_all(&it, store_committed(s));
    VIEW_FOR(o, &it)
    {
        CLEANUP_BUF struct buf body = BUF_INIT;
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        if (pbkit_document(&body, o->kind, object_to_value(&a, o))) {
            put("protobuf", o->kind->name, NO_HEAD, buf_str(&body));
        }
    }
    store_free(s);
    static const struct {
        const char *api_version, *kind, *message;
    } rows[] = {
        {"apps/v1", "DeleteOptions", "1 0 2 {1 \"u\" 2 \"7\"} 3 1 4 \"Foreground\" 5 \"All\""},
        {"authorization.k8s.io/v1", "SubjectAccessReview",
         "2 {1 {1 \"n\" 2 \"get\" 5 \"pods\"} 3 \"j\" 4 \"g\" 5 {1 \"k\" 2 {1 \"v\"}}} 3 {1 0}"},
        {"authentication.k8s.io/v1", "TokenRequest", "2 {1 \"a\" 3 {1 \"Pod\" 3 \"p\"} 4 600}"},
        {"policy/v1", "Eviction", "1 {1 \"p\"} 2 {1 30}"},
        {"v1", "Pod", "1 {1 \"p\"} 2 {14 {4 <01ac0200>} 1 {1 \"v\" 2 {19 {1 {1 \"c\"} 2 {1 \"k\" 2 \"p\"}}}}}"},
        {"apps/v1", "ControllerRevision", "1 {1 \"r\"} 2 {1 <7b2261223a5b315d7d>} 3 7"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_BUF struct buf body = BUF_INIT;
        CLEANUP_FREE char *name = xasprintf("request-%u", i);
        pbkit_body(&body, rows[i].api_version, rows[i].kind, rows[i].message);
        put("protobuf", name, NO_HEAD, buf_str(&body));
    }
}

/* ---- Log entries and snapshots ---- */

static void put_entries(bool sealed)
{
    struct store *s = fuzz_store_new(sealed);
    CLEANUP_BUF struct buf entry = BUF_INIT;
    CLEANUP_BUF struct buf payload = BUF_INIT;
    CLEANUP_BUF struct buf snapshot = BUF_INIT;
    struct view_hash before;
    unsigned seal = sealed ? 4 : 0;
    struct error err = {0};
    store_tip_open(s, 1);
    fuzz_store_create(s, "{apiVersion: v1, kind: ConfigMap, metadata: {name: e}, data: {x: "
                         "'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy'}}");
    fuzz_store_create(s, "{apiVersion: v1, kind: Secret, metadata: {name: t}, stringData: {x: why}}");
    struct txn t;
    struct txn_result result;
    txn_init(&t, "seeds");
    const struct object *old = view_get(store_tip(s), kind_by_id(KIND_CONFIGMAP), STR("default"), STR("c"));
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = object_to_value(&a, old);
    value_set(&a, value_get(doc, "data"), "k", value_cstr(&a, "changed"));
    CHECK(txn_update_value(&t, old->kind, doc, TXN_PART_SPEC, 0, &err) == 0);
    txn_delete(&t, view_get(store_tip(s), kind_by_id(KIND_POD), STR("default"), STR("p")));
    CHECK(store_eval(s, &t, &result, &err) == 0);
    txn_close(&t);
    store_batch_take(s, &entry);
    CHECK(entry_open(entry.data, entry.size, &payload, &before, &err) == 0);
    put("entry", sealed ? "sealed-entry" : "entry", seal, buf_str(&entry));
    put("entry", sealed ? "sealed-fix" : "fix", seal | 2, buf_str(&entry));
    put("entry", sealed ? "sealed-payload" : "payload", seal | 1, buf_str(&payload));
    CHECK(store_apply(s, 2, entry.data, entry.size, &err) == 0);
    fuzz_store_snapshot(s, &snapshot);
    put("snapshot", sealed ? "sealed-raw" : "raw", seal, buf_str(&snapshot));
    put("snapshot", sealed ? "sealed-fix" : "fix", seal | 1, buf_str(&snapshot));
    CLEANUP_BUF struct buf records = BUF_INIT;
    struct view_iter it;
    view_iter_all(&it, store_committed(s));
    VIEW_FOR(o, &it)
    {
        buf_put_u8(&records, 1);
        varint_write(&records, o->kind->id);
        buf_put_u8(&records, 0);
        varint_write(&records, o->revision);
        varint_write_str(&records, (struct str){(const char *)object_body(o), o->body_size});
    }
    buf_put_u8(&records, 2);
    buf_append(&records, "0123456789abcdef", TXN_ID_SIZE);
    varint_write(&records, 7);
    put("snapshot", sealed ? "sealed-records" : "records", seal | 2, buf_str(&records));
    store_free(s);
}

/* ---- Raft ---- */

static void put_raft(void)
{
    static uint64_t words[2] = {1, 2};
    struct raft_configuration conf;
    struct raft_buffer encoded;
    raft_configuration_init(&conf);
    CHECK(raft_configuration_add(&conf, 1, "127.0.0.1:7400", RAFT_VOTER) == 0);
    CHECK(raft_configuration_add(&conf, 2, "[::1]:7400", RAFT_SPARE) == 0);
    CHECK(raft_configuration_encode(&conf, &encoded) == 0);
    struct raft_entry entries[] = {
        {.term = 3, .type = RAFT_COMMAND, .buf = {words, sizeof words}},
        {.term = 3, .type = RAFT_BARRIER, .buf = {words, 8}},
        {.term = 3, .type = RAFT_CHANGE, .buf = encoded},
    };
    struct raft_message messages[] = {
        {.type = RAFT_REQUEST_VOTE, .request_vote = {1, 3, 2, 10, 2, false, true}},
        {.type = RAFT_REQUEST_VOTE_RESULT, .request_vote_result = {1, 3, true, true, 0, 0}},
        {.type = RAFT_APPEND_ENTRIES, .append_entries = {1, 3, 10, 2, 9, entries, 3}},
        {.type = RAFT_APPEND_ENTRIES_RESULT, .append_entries_result = {1, 3, 0, 10, 0, 0}},
        {.type = RAFT_INSTALL_SNAPSHOT,
         .install_snapshot = {.version = 1,
                              .term = 3,
                              .last_index = 9,
                              .last_term = 2,
                              .conf = conf,
                              .conf_index = 1,
                              .data = {NULL, 4096}}},
        {.type = RAFT_TIMEOUT_NOW, .timeout_now = {1, 3, 10, 2}},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(messages); i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        CLEANUP_FREE char *name = xasprintf("message-%u", i);
        raft_codec_write(&b, &messages[i]);
        put("raft", name, NO_HEAD, buf_str(&b));
    }
    raft_free(encoded.base);
    raft_configuration_close(&conf);
}

/* ---- RPC ---- */

static void request(struct buf *b, uint32_t id, const char *method)
{
    mp_write_array(b, 4);
    mp_write_uint(b, RPC_MESSAGE_REQUEST);
    mp_write_uint(b, id);
    mp_write_cstr(b, method);
    mp_write_array(b, 1);
    mp_write_map(b, 1);
    mp_write_key_str(b, "kind", STR("Pod"));
}

static void stream(struct buf *b, const char *method, uint32_t id, unsigned side)
{
    mp_write_array(b, 3);
    mp_write_uint(b, RPC_MESSAGE_NOTIFY);
    mp_write_cstr(b, method);
    mp_write_array(b, 3);
    mp_write_uint(b, id);
    mp_write_uint(b, side);
}

static void put_rpc(void)
{
    CLEANUP_BUF struct buf theirs = BUF_INIT;
    CLEANUP_BUF struct buf ours = BUF_INIT;
    request(&theirs, 1, "get");
    request(&theirs, 2, "watch");
    request(&theirs, 3, "fail");
    stream(&theirs, "stream.data", 2, 0);
    mp_write_cstr(&theirs, "payload");
    stream(&theirs, "stream.credit", 2, 0);
    mp_write_uint(&theirs, 100000);
    stream(&theirs, "stream.end", 2, 0);
    mp_write_nil(&theirs);
    mp_write_array(&theirs, 3);
    mp_write_uint(&theirs, RPC_MESSAGE_NOTIFY);
    mp_write_cstr(&theirs, "bye");
    mp_write_array(&theirs, 1);
    mp_write_map(&theirs, 0);
    for (uint32_t id = 1; id <= 4; id++) {
        mp_write_array(&ours, 4);
        mp_write_uint(&ours, RPC_MESSAGE_RESPONSE);
        mp_write_uint(&ours, id);
        if (id == 2) {
            struct error err = {.code = ERR_CONFLICT, .message = "no", .field = "f", .retry_after_ms = 5};
            rpc_write_error(&ours, &err);
        } else {
            mp_write_nil(&ours);
        }
        mp_write_map(&ours, 1);
        mp_write_key_int(&ours, "stream", id);
    }
    stream(&ours, "stream.data", 3, 1);
    mp_write_cstr(&ours, "payload");
    stream(&ours, "stream.credit", 4, 1);
    mp_write_uint(&ours, 1000);
    stream(&ours, "stream.end", 3, 1);
    mp_write_nil(&ours);
    put("session", "requests", 7, buf_str(&theirs));
    put("session", "requests-later", 8 + 2, buf_str(&theirs));
    put("session", "answers", 16 + 7, buf_str(&ours));
    put("session", "answers-ended", 16 + 32 + 3, buf_str(&ours));
    put("rpc", "requests", 1, buf_str(&theirs));
    put("rpc", "answers", 2, buf_str(&ours));
}

/* ---- Backups ---- */

static void put_backup(void)
{
    static const uint8_t key[BACKUP_KEY_SIZE] = {1, 2, 3};
    CLEANUP_BUF struct buf records = BUF_INIT;
    CLEANUP_BUF struct buf file = BUF_INIT;
    struct store *s = fuzz_store_new(true);
    CLEANUP_BUF struct buf state = BUF_INIT;
    fuzz_store_snapshot(s, &state);
    store_free(s);
    struct backup_meta meta = {
        .cluster = "c", .revision = 6, .term = 1, .index = 1, .next_master_id = 4, .wall_ms = 1767225600000};
    struct backup_keys keys = {STR("CA"), STR("CA KEY"), key};
    struct backup_end end = {
        .objects = 6, .ids = 6, .state_bytes = state.size, .kinds_count = 1, .kinds = {{"Pod", 1}}};
    struct backup_writer *w = backup_writer_new();
    backup_write_meta(w, &meta, &records);
    backup_write_keys(w, &keys, &records);
    backup_write_state(w, state.data, state.size / 2, &records);
    backup_write_state(w, state.data + state.size / 2, state.size - state.size / 2, &records);
    backup_write_end(w, &end, &records);
    backup_writer_free(w);
    struct backup_sealer *sealer;
    CHECK(backup_sealer_new(STR("correct horse"), 4, &file, &sealer, NULL) == 0);
    backup_sealer_feed(sealer, records.data, records.size, &file);
    backup_sealer_finish(sealer, &file);
    backup_sealer_free(sealer);
    CLEANUP_BUF struct buf in_pieces = BUF_INIT; /* behind the byte that says how large the pieces are */
    buf_putc(&in_pieces, 30);
    buf_append_str(&in_pieces, buf_str(&records));
    put("backup", "records", 2, buf_str(&in_pieces));
    put("backup", "records-fix", 3, buf_str(&in_pieces));
    put("backup", "sealed", 1, buf_str(&in_pieces));
    buf_reset(&in_pieces);
    buf_putc(&in_pieces, 100);
    buf_append_str(&in_pieces, buf_str(&file));
    put("backup", "file", 0, buf_str(&in_pieces));
}

/* ---- Certificates ---- */

static void put_pem(const char *name, unsigned head, const char *pem)
{
    CLEANUP_BUF struct buf der = BUF_INIT;
    CLEANUP_FREE char *der_name = xasprintf("%s-der", name);
    put("pki", name, head, str_of(pem));
    const char *from = strchr(pem, '\n'), *to = strstr(pem, "-----END");
    CHECK(from != NULL && to != NULL && base64_read(&der, (struct str){from, (size_t)(to - from)}));
    put("pki", der_name, head | 1, buf_str(&der));
}

static void put_pki(void)
{
    struct error err = {0};
    const struct pki_identity who = {PKI_ROLE_NODE, "n1"};
    char *ca, *ca_key, *cert, *key, *request_pem, *request_key;
    CHECK(pki_make_ca("seeds", &ca, &ca_key, &err) == 0);
    CHECK(pki_issue(ca, ca_key, &who, "localhost,10.0.0.1", 86400, &cert, &key, &err) == 0);
    CHECK(pki_make_request(&who, &request_pem, &request_key, &err) == 0);
    put_pem("ca", 0, ca);
    put_pem("cert", 0, cert);
    put("pki", "key", 0, str_of(key));
    put_pem("request", 2, request_pem);
    free(ca);
    free(cert);
    free(request_pem);
    pki_free_key(ca_key);
    pki_free_key(key);
    pki_free_key(request_key);
}

/* ---- Lists, probes, configurations ---- */

static void put_pages(void)
{
    static const struct list_token rows[] = {
        {1, 6, STR("default"), STR("c"), 1}, {1, 6, STR(""), STR("n1"), 1}, {3, UINT64_MAX, STR("e"), STR(""), 0}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        CLEANUP_FREE char *name = xasprintf("token-%u", i);
        list_token_write(&text, &rows[i]);
        put("page", name, 2 * i, buf_str(&text));
    }
}

#define GRPC(name, head, text) put("grpc", name, head, (struct str){text, sizeof text - 1})

static void put_probes(void)
{
    GRPC("serving", 2,
         "\0\0\0\4\0\0\0\0\0"
         "\0\0\3\1\4\0\0\0\1\x88\x5f\0"
         "\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\1"
         "\0\0\1\1\5\0\0\0\1\x88");
    GRPC("padded-ping", 30,
         "\0\0\0\4\0\0\0\0\0"
         "\0\0\x08\6\0\0\0\0\0"
         "12345678"
         "\0\0\x0b\0\x09\0\0\0\1\3\0\0\0\0\2\x08\2\0\0\0");
    GRPC("goaway", 0, "\0\0\0\4\0\0\0\0\0\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\0");
    GRPC("service", 0x80, "db");
}

static void put_config(void)
{
    put("config", "two-contexts", NO_HEAD,
        STR("apiVersion: v1\nkind: Config\ncurrent-context: a\n"
            "clusters:\n- name: c\n  cluster: {servers: [127.0.0.1:7400, 127.0.0.1:7401], refused-masters: '', "
            "certificate-authority-data: Q0E=}\n"
            "- name: d\n  cluster: {server: \"https://127.0.0.1:7400\", certificate-authority-data: Q0E=}\n"
            "users:\n- name: u\n  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}\n"
            "contexts:\n- name: a\n  context: {cluster: c, user: u, namespace: n}\n"
            "- name: b\n  context: {cluster: d, user: u}\n"));
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    root = argv[1];
    put_objects();
    put_bodies();
    put_entries(false);
    put_entries(true);
    put_raft();
    put_rpc();
    put_backup();
    put_pki();
    put_pages();
    put_probes();
    put_config();
    return 0;
}

#include "tests/unit/hosts/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void copy_text(char *ret, size_t bytes, str text)
{
    snprintf(ret, bytes, STR_FMT, STR_ARG(text));
}

struct payload *wire_pack(const struct server_message *message)
{
    struct wire wire = {.seq = message->seq, .ack = message->ack, .kind = message->kind};
    switch (message->kind) {
    case SERVER_MESSAGE_WELCOME:
        copy_text(wire.token, sizeof(wire.token), message->welcome.session);
        wire.resumed = message->welcome.resumed;
        wire.lease_ms = message->welcome.lease_ms;
        wire.heartbeat_ms = message->welcome.heartbeat_ms;
        wire.lost_count = message->welcome.lost_count;
        assert_true(wire.lost_count <= WIRE_LOST_MAX);
        memcpy(wire.lost, message->welcome.lost, wire.lost_count * sizeof(wire.lost[0]));
        break;
    case SERVER_MESSAGE_TASK:
        wire.task = (struct held_task){message->task->task, message->task->epoch};
        break;
    case SERVER_MESSAGE_CANCEL:
    case SERVER_MESSAGE_YIELD:
        wire.task = message->cancelled;
        break;
    case SERVER_MESSAGE_STOP:
        wire.task = message->cancelled;
        wire.stop = message->stop;
        break;
    case SERVER_MESSAGE_DRAIN:
        copy_text(wire.text, sizeof(wire.text), message->cause);
        break;
    case SERVER_MESSAGE_REFUSED:
        wire.refused_seq = message->refused.seq;
        wire.reason = reason_name(message->refused.reason);
        copy_text(wire.text, sizeof(wire.text), message->refused.message);
        wire.has_task = message->refused.has_task;
        wire.task.task = message->refused.task;
        break;
    case SERVER_MESSAGE_OUTCOME:
        wire.task.task = message->outcome.task;
        copy_text(wire.text, sizeof(wire.text), message->outcome.key);
        copy_text(wire.value, sizeof(wire.value), message->outcome.outcome.value);
        break;
    case SERVER_MESSAGE_FACTS:
        wire.task = (struct held_task){message->facts->task, message->facts->epoch};
        wire.first = message->facts->first;
        break;
    case SERVER_MESSAGE_ACK:
        break;
    }
    return payload_copy(str_make(&wire, sizeof(wire)));
}

static void link_send(struct host_link *base, struct payload *payload)
{
    struct test_link *link = container_of(base, struct test_link, link);
    assert_false(link->is_closed);
    assert_true(link->count < LINK_WIRES_MAX);
    memcpy(&link->wires[link->count++], payload_bytes(payload).ptr, sizeof(struct wire));
    payload_unref(payload);
}

static void link_close(struct host_link *base, enum code code, enum reason reason, str message)
{
    struct test_link *link = container_of(base, struct test_link, link);
    assert_false(link->is_closed);
    assert_null(link->link.session);
    link->is_closed = true;
    link->code = code;
    link->reason = reason_name(reason);
    copy_text(link->text, sizeof(link->text), message);
}

static bool link_has_room(const struct host_link *base)
{
    return !container_of(base, struct test_link, link)->is_full;
}

static const struct host_link_vtable test_link_vtable = {
    .pack = wire_pack, .send = link_send, .has_room = link_has_room, .close = link_close};

void link_init(struct test_link *link)
{
    memset(link, 0, sizeof(*link));
    link->link.vtable = &test_link_vtable;
}

const struct wire *link_next(struct test_link *link, enum server_message_kind kind)
{
    assert_true(link->read < link->count);
    const struct wire *wire = &link->wires[link->read++];
    assert_int_equal(wire->kind, kind);
    return wire;
}

bool link_is_quiet(const struct test_link *link)
{
    return link->read == link->count;
}

static void note_lost(void *context, const struct host_loss *loss)
{
    struct fixture *fixture = (struct fixture *)context;
    assert_true(fixture->lost_count < NOTED_MAX);
    struct noted_loss *noted = &fixture->lost[fixture->lost_count++];
    noted->held = (struct held_task){loss->task, loss->epoch};
    noted->is_excused = loss->is_excused;
    copy_text(noted->cause, sizeof(noted->cause), str_of(loss->cause));
}

static void count_up(void *context, uint8_t ret[16])
{
    struct fixture *fixture = (struct fixture *)context;
    memset(ret, 0, 16);
    fixture->random++;
    memcpy(ret, &fixture->random, sizeof(fixture->random));
}

static bool no_facts(void *context, struct facts_cursor *cursor, struct host_facts *ret)
{
    (void)context, (void)cursor, (void)ret;
    return false;
}

void fixture_init(struct fixture *fixture, const struct hosts_options *limits)
{
    struct hosts_options options = {0};
    memset(fixture, 0, sizeof(*fixture));
    if (limits != NULL) {
        options = *limits;
    }
    options.lease_ms = LEASE_MS;
    options.context = fixture;
    options.lost = note_lost;
    options.random = count_up;
    options.read_facts = options.read_facts == NULL ? no_facts : options.read_facts;
    arena_init(&fixture->arena, 0);
    fixture->hosts = hosts_new(&options);
    fixture->now_ms = 5000;
    fixture->deployment = "";
    fixture->language = "";
}

void fixture_fini(struct fixture *fixture)
{
    hosts_free(fixture->hosts);
    arena_fini(&fixture->arena);
}

struct hosts_stats fixture_stats(const struct fixture *fixture)
{
    struct hosts_stats stats;
    hosts_stats(fixture->hosts, &stats);
    return stats;
}

static size_t parse_offers(const char *text, struct host_offer *ret)
{
    size_t count = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        bool is_workflow = *text == '@';
        ret[count++] = (struct host_offer){is_workflow ? TASK_WORKFLOW : TASK_TOOL,
                                           str_make(text + is_workflow, len - is_workflow)};
        text += text[len] == ',' ? len + 1 : len;
    }
    return count;
}

enum code say_hello(struct fixture *fixture, struct test_link *link, const char *host_id,
                    uint32_t slots, const char *offers, const char *token,
                    const struct held_task *held, size_t held_count)
{
    struct host_offer list[16];
    struct host_hello hello = {
        .host_id = str_of(host_id),
        .deployment = str_of(fixture->deployment),
        .language = str_of(fixture->language),
        .slots = slots,
        .offers = list,
        .offer_count = parse_offers(offers, list),
        .session = str_of(token),
        .ack = fixture->hello_ack,
        .held = held,
        .held_count = held_count,
    };
    struct host_session *session;
    fixture->field = NULL;
    status outcome = hosts_hello(fixture->hosts, &link->link, &hello, fixture->now_ms,
                                 &fixture->arena, &fixture->field, &session);
    copy_text(fixture->why, sizeof(fixture->why), str_of(outcome.why));
    if (status_is_ok(outcome)) {
        assert_ptr_equal(link->link.session, session);
    } else {
        assert_null(link->link.session);
    }
    return outcome.code;
}

struct host_session *connect_host(struct fixture *fixture, struct test_link *link,
                                  const char *host_id, uint32_t slots, const char *offers)
{
    link_init(link);
    assert_int_equal(say_hello(fixture, link, host_id, slots, offers, "", NULL, 0), CODE_OK);
    assert_false(link_next(link, SERVER_MESSAGE_WELCOME)->resumed);
    return link->link.session;
}

struct task_ref task_number(uint32_t number)
{
    struct task_ref task = {.run = {{1}}, .effect = number};
    return task;
}

struct held_task held_number(uint32_t number, uint32_t epoch)
{
    return (struct held_task){task_number(number), epoch};
}

struct host_message host_says(enum host_message_kind kind, uint64_t seq, uint32_t task,
                              uint32_t epoch)
{
    return (struct host_message){
        .seq = seq, .kind = kind, .task = task_number(task), .epoch = epoch};
}

enum host_receipt receive(struct fixture *fixture, struct test_link *link,
                          enum host_message_kind kind, uint64_t seq, uint32_t task, uint32_t epoch)
{
    struct host_message message = host_says(kind, seq, task, epoch);
    return hosts_receive(fixture->hosts, link->link.session, &message, fixture->now_ms);
}

struct host_session *dispatch(struct fixture *fixture, const char *name, uint32_t task,
                              uint32_t epoch)
{
    struct host_session *session =
        hosts_pick(fixture->hosts, TASK_TOOL, str_of(name), CODE_VERSION_ANY);
    struct host_task work = {.task = task_number(task), .epoch = epoch};
    if (session != NULL) {
        hosts_give(fixture->hosts, session, &work);
    }
    return session;
}

void acknowledge(struct fixture *fixture, struct test_link *link, uint64_t ack)
{
    struct host_message message = {.ack = ack};
    assert_int_equal(hosts_receive(fixture->hosts, link->link.session, &message, fixture->now_ms),
                     HOST_RECEIPT_DROP);
}

void disconnect(struct fixture *fixture, struct test_link *link)
{
    hosts_disconnected(fixture->hosts, link->link.session, HOST_CUT_OFF, fixture->now_ms);
    assert_null(link->link.session);
}

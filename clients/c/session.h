/*
 * session: a host's side of ToolService.Connect without any I/O.
 *
 * Envelopes go in, envelopes and callbacks come out; the stream and the clock are host.c's. A task
 * is held from the moment it arrives until its TaskDone or Park is acknowledged (which means:
 * durable), it is stopped, or the server says it is lost; connections may come and go meanwhile.
 * The surprising part: a task that comes again with a higher epoch while it is at work is not
 * given out twice. The work goes on, and its answers carry the new epoch. Step requests
 * without an outcome are said again in every new session: asking twice is asking once.
 *
 * Order: polos_session_hello(), then polos_session_receive() for each envelope, sending what
 * polos_session_next() gives; after the stream broke, hello again.
 */
#ifndef CLIENTS_C_SESSION_H
#define CLIENTS_C_SESSION_H

#include "clients/c/polos_host.h"

struct polos_session;
struct said;

struct polos_session_events {
    void (*welcomed)(void *context, const Polos__V1__Welcome *welcome);
    void (*given)(void *context, struct polos_task *task);
    /* There is something to send. */
    void (*ready)(void *context);
    /* The server is going away: dial again. */
    void (*draining)(void *context);
};

enum {
    POLOS_PROTOCOL = 1, /* Hello.protocol. */
    ENVELOPE_MESSAGES_MAX = 64,
    ENVELOPE_BYTES_MAX = 1 << 20, /* But one message may be larger. */
};

/* A message to the server with room for what it is made of. Not to be moved. */
struct polos_session_message {
    Polos__V1__HostMessage message;
    Polos__V1__HostDelta delta;
    Polos__V1__StepDone step_done;
    Polos__V1__StepRequest request;
    Polos__V1__TaskDone task_done;
    Polos__V1__Park park;
    Polos__V1__Release release;
    Polos__V1__HostDrain drain;
    Polos__V1__TaskOutcome outcome;
    Polos__V1__TaskError error;
};

/* What the server is told in one write. Not to be moved. */
struct polos_session_envelope {
    Polos__V1__ToolServiceConnectRequest envelope;
    struct polos_session_message rooms[ENVELOPE_MESSAGES_MAX];
    Polos__V1__HostMessage *messages[ENVELOPE_MESSAGES_MAX];
    Polos__V1__HostDelta *deltas[ENVELOPE_MESSAGES_MAX];
};

/* Never NULL. `events` is static. */
struct polos_session *polos_session_new(const struct polos_session_events *events, void *context);
/* Ends nothing: tasks that their owners still have are freed with polos_task_done(). */
void polos_session_free(struct polos_session *session);

/* The first envelope of a stream: calls send() with `hello`, completed by the session. */
void polos_session_hello(struct polos_session *session, const Polos__V1__Hello *hello,
                         void (*send)(void *context,
                                      const Polos__V1__ToolServiceConnectRequest *envelope),
                         void *context);
/* The stream is gone. */
void polos_session_cut(struct polos_session *session);
/* Takes what it needs out of the envelope. False: the server broke a rule; dial again. */
bool polos_session_receive(struct polos_session *session,
                           Polos__V1__ToolServiceConnectResponse *envelope);
/* What to send next; false: nothing now. Valid until the next call of any function here. */
bool polos_session_next(struct polos_session *session, struct polos_session_envelope *ret);
/* Whether polos_session_next() has one. */
bool polos_session_has_next(const struct polos_session *session);

/* The server has not been told yet what was dealt with. */
bool polos_session_owes_ack(const struct polos_session *session);
void polos_session_ack(struct polos_session *session); /* Sends one alone, when it is owed. */
void polos_session_heartbeat(struct polos_session *session); /* Nothing, unless it is open. */
/* Says that no more tasks are wanted, in this session and those to come. `cause` is copied. */
void polos_session_drain(struct polos_session *session, const char *cause);
/* As polos_session_drain(), and gives back every task that is held: their owners are told to stop.
 */
void polos_session_release_all(struct polos_session *session, const char *cause);

/* For a task's owner: takes the node, and numbers it. */
void polos_session_say(struct polos_session *session, struct said *node);
/* For what is worth nothing unless it is sent at once. */
void polos_session_say_if_open(struct polos_session *session, struct said *node);

bool polos_session_is_open(const struct polos_session *session); /* Welcome has come. */
size_t polos_session_held(const struct polos_session *session); /* How many tasks. */
/* Nothing is held, and the server knows all that was said. */
bool polos_session_is_settled(const struct polos_session *session);

#endif

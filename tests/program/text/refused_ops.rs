//! The parser's errors about ops: their place, the names, numbers and answers in them.

use super::errors;

#[test]
fn registering_twice_is_refused_with_place_and_reason() {
    let said = errors(&[
        "callback a\nbefore\n  register a\nthread\n  register a\n",
        "callback a\nbefore\n  register a a\n",
        "callback a\nbefore\n  register a\n  invoke a 1 2\n",
        "callback a\ncallback b\nbefore\n  register a b\n  replace a b\n",
        "callback a\nbefore\n  replace a a\n",
        "callback a\ncallback b\n  register a\n",
        "callback a\nbefore\n  register\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 5, column 12: expected a callback that is not registered yet, found `a`
5 |   register a
  |            ^
  = `a` is registered on line 3; a callback is registered at most once

line 3, column 14: expected a callback that is not registered yet, found `a`
3 |   register a a
  |              ^
  = `a` is registered earlier on this line; a callback is registered at most once

line 4, column 10: expected a callback that is not registered yet, found `a`
4 |   invoke a 1 2
  |          ^
  = `a` is registered on line 3; a callback is registered at most once

line 5, column 13: expected a callback that is not registered yet, found `b`
5 |   replace a b
  |             ^
  = `b` is registered on line 4; a callback is registered at most once

line 3, column 13: expected a callback other than the one it replaces, found `a`
3 |   replace a a
  |             ^

line 3, column 3: expected `nth N` before `register`, found `register`
3 |   register a
  |   ^
  = a body runs in every call, and a callback is registered at most once

line 3, column 11: expected a callback's name, found the end of the line
3 |   register
  |           ^
"#);
}

#[test]
fn body_ops_outside_bodies_and_bad_nths_are_refused_with_place_and_reason() {
    let said = errors(&[
        "before\n  panic\n",
        "thread\n  return 0\n",
        "before\n  nth 1 barrier\n",
        "callback a\n  nth 0 revoke a\n",
        "callback a\n  nth revoke a\n",
        "callback a\n  nth 1\n",
        "callback a\n  nth 1 nth 2 revoke a\n",
        "callback a\n  nth 1 revoek a\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 2, column 3: expected an op, `thread` or `after`, found `panic`
2 |   panic
  |   ^
  = `panic` is only for callback bodies

line 2, column 3: expected an op, `thread` or `after`, found `return`
2 |   return 0
  |   ^
  = `return` is only for callback bodies

line 2, column 3: expected an op, `thread` or `after`, found `nth`
2 |   nth 1 barrier
  |   ^
  = `nth` is only for callback bodies: it says in which call of the callback the op runs

line 2, column 7: expected a call's number from 1 to 4294967295, found `0`
2 |   nth 0 revoke a
  |       ^

line 2, column 7: expected a call's number from 1 to 4294967295, found `revoke`
2 |   nth revoke a
  |       ^

line 2, column 8: expected an op, found the end of the line
2 |   nth 1
  |        ^

line 2, column 9: expected an op, found `nth`
2 |   nth 1 nth 2 revoke a
  |         ^
  = `nth` is only for callback bodies: it says in which call of the callback the op runs

line 2, column 9: expected an op, found `revoek`
2 |   nth 1 revoek a
  |         ^
  = did you mean `revoke`?
"#);
}

#[test]
fn numbers_out_of_range_are_refused_with_place_and_reason() {
    let said = errors(&[
        "before\n  churn 0\n",
        "before\n  churn 10000001\n",
        "before\n  churn\n",
        "callback a\nbefore\n  enumerate a -1\n",
        "callback a\nbefore\n  fire a 1\n",
        "callback a\nbefore\n  fire a 1 = 2\n",
        "callback a\nbefore\n  fire a 1 x\n",
        "callback a\nbefore\n  fire a +1 2\n",
        "callback a\nbefore\n  fire a 9223372036854775808 0\n",
        "callback a\n  return\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 2, column 9: expected a number of callbacks from 1 to 10000000, found `0`
2 |   churn 0
  |         ^

line 2, column 9: expected a number of callbacks from 1 to 10000000, found `10000001`
2 |   churn 10000001
  |         ^

line 2, column 8: expected a number of callbacks from 1 to 10000000, found the end of the line
2 |   churn
  |        ^

line 3, column 15: expected a number of items from 0 to 4294967295, found `-1`
3 |   enumerate a -1
  |               ^

line 3, column 11: expected the second argument, a signed 64-bit integer, found the end of the line
3 |   fire a 1
  |           ^
  = `fire` takes two arguments or none

line 3, column 12: expected the second argument, a signed 64-bit integer, found `=`
3 |   fire a 1 = 2
  |            ^
  = `fire` takes two arguments or none

line 3, column 12: expected the second argument, a signed 64-bit integer, found `x`
3 |   fire a 1 x
  |            ^

line 3, column 10: expected the first argument, a signed 64-bit integer, found `+1`
3 |   fire a +1 2
  |          ^

line 3, column 10: expected the first argument, a signed 64-bit integer, found `9223372036854775808`
3 |   fire a 9223372036854775808 0
  |          ^

line 2, column 9: expected the value to return, a signed 64-bit integer, found the end of the line
2 |   return
  |         ^
"#);
}

#[test]
fn impossible_answers_are_refused_with_place_and_reason() {
    let said = errors(&[
        "callback a\nbefore\n  fire a = removed\n",
        "callback a\nbefore\n  fire a = lte\n",
        "callback a\nbefore\n  fire a =\n",
        "callback a\nbefore\n  fire a = late late\n",
        "callback a\nbefore\n  fire a late\n",
        "callback a\nbefore\n  post a = 3\n",
        "callback a\nbefore\n  post a 1 2 3\n",
        "callback a\nbefore\n  revoke a = in_flight(0)\n",
        "callback a\nbefore\n  revoke a = 1\n",
        "callback a\nbefore\n  revoke_and_wait a = removed\n",
        "callback a\nbefore\n  register a = late\n",
        "callback a\nbefore\n  enumerate a 2 = late\n",
        "before\n  barrier = 1\n",
        "before\n  barrier now\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 3, column 12: expected an answer of `fire`: a number, `late` or `refused`, found `removed`
3 |   fire a = removed
  |            ^
  = `fire` never answers `removed`

line 3, column 12: expected an answer of `fire`: a number, `late` or `refused`, found `lte`
3 |   fire a = lte
  |            ^
  = did you mean `late`?

line 3, column 11: expected an answer of `fire`: a number, `late` or `refused`, found the end of the line
3 |   fire a =
  |           ^

line 3, column 17: expected the end of the line, found `late`
3 |   fire a = late late
  |                 ^

line 3, column 10: expected two arguments, `=` or the end of the line, found `late`
3 |   fire a late
  |          ^
  = an answer is written `= late`

line 3, column 10: expected the end of the line, found `=`
3 |   post a = 3
  |          ^
  = `post` has no answer to expect

line 3, column 14: expected the end of the line, found `3`
3 |   post a 1 2 3
  |              ^

line 3, column 14: expected an answer of `revoke`: `removed`, `in_flight(N)`, `already_revoked` or `refused`, found `in_flight(0)`
3 |   revoke a = in_flight(0)
  |              ^
  = N is a number from 1 to 4294967295

line 3, column 14: expected an answer of `revoke`: `removed`, `in_flight(N)`, `already_revoked` or `refused`, found `1`
3 |   revoke a = 1
  |              ^
  = `revoke` never answers `1`

line 3, column 23: expected an answer of `revoke_and_wait`: `quiescent`, `deferred`, `already_revoked` or `refused`, found `removed`
3 |   revoke_and_wait a = removed
  |                       ^
  = `revoke_and_wait` never answers `removed`

line 3, column 16: expected an answer of `register`: `refused`, found `late`
3 |   register a = late
  |                ^
  = `register` never answers `late`

line 3, column 19: expected an answer of `enumerate`: a number or `refused`, found `late`
3 |   enumerate a 2 = late
  |                   ^
  = `enumerate` never answers `late`

line 2, column 11: expected the end of the line, found `=`
2 |   barrier = 1
  |           ^
  = `barrier` has no answer to expect

line 2, column 11: expected the end of the line, found `now`
2 |   barrier now
  |           ^
"#);
}

#[test]
fn unknown_sites_are_refused_with_place_and_reason() {
    let said = errors(&[
        "before\n  stall here g\n",
        "before\n  stall befor_load g\n",
        "before\n  stall before_load\n",
        "before\n  stall\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 2, column 9: expected a site: `before_load`, `before_call`, `after_call`, `after_count`, `before_notify`, `popped`, `unsubscribed`, `worker_start`, `worker_exit`, `before_acquire`, `after_acquire`, `before_release`, `after_release`, `revoked`, `tombstone_written` or `slot_listed`, found `here`
2 |   stall here g
  |         ^

line 2, column 9: expected a site: `before_load`, `before_call`, `after_call`, `after_count`, `before_notify`, `popped`, `unsubscribed`, `worker_start`, `worker_exit`, `before_acquire`, `after_acquire`, `before_release`, `after_release`, `revoked`, `tombstone_written` or `slot_listed`, found `befor_load`
2 |   stall befor_load g
  |         ^
  = did you mean `before_load`?

line 2, column 20: expected a gate's name (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found the end of the line
2 |   stall before_load
  |                    ^

line 2, column 8: expected a site: `before_load`, `before_call`, `after_call`, `after_count`, `before_notify`, `popped`, `unsubscribed`, `worker_start`, `worker_exit`, `before_acquire`, `after_acquire`, `before_release`, `after_release`, `revoked`, `tombstone_written` or `slot_listed`, found the end of the line
2 |   stall
  |        ^
"#);
}

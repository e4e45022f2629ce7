//! What the store of subscriptions promises: each user has its own, by name, and no more than a few.

use peal_proto::{Subscription, SubscriptionId, SubscriptionKeys, UserId};

use super::{Case, Subject, cases};
use crate::limits::SUBSCRIPTIONS_A_USER_MAX;

pub(super) const CASES: &[Case] = cases![
    a_user_has_its_own_subscriptions_in_the_order_of_their_ids,
    a_subscription_takes_the_place_of_the_one_of_its_id,
    one_is_removed_by_its_id_or_only_if_it_is_still_the_same,
    there_is_room_for_a_few,
    subscriptions_outlive_the_process,
];

fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

fn id(text: &str) -> SubscriptionId {
    text.parse().unwrap()
}

fn subscription(name: &str) -> Subscription {
    let keys = SubscriptionKeys { p256dh: "BA".to_owned(), auth: name.to_owned() };
    Subscription { endpoint: format!("https://push.example/{name}"), keys }
}

async fn a_user_has_its_own_subscriptions_in_the_order_of_their_ids(subject: Subject) {
    let kept = subject.stores().subscriptions;
    for (number, name) in [(7, "phone"), (7, "laptop"), (77, "phone"), (256, "tablet")] {
        assert!(kept.put(user(number), id(name), subscription(name)).await.unwrap());
    }
    let of_seven = vec![(id("laptop"), subscription("laptop")), (id("phone"), subscription("phone"))];
    let asked = kept.of(vec![user(256), user(1), user(7)]).await.unwrap();
    assert_eq!(asked, [vec![(id("tablet"), subscription("tablet"))], vec![], of_seven]);
    assert_eq!(kept.of(vec![]).await.unwrap(), Vec::<Vec<_>>::new());
}

async fn a_subscription_takes_the_place_of_the_one_of_its_id(subject: Subject) {
    let kept = subject.stores().subscriptions;
    assert!(kept.put(user(7), id("phone"), subscription("old")).await.unwrap());
    assert!(kept.put(user(7), id("phone"), subscription("new")).await.unwrap());
    assert_eq!(kept.of(vec![user(7)]).await.unwrap(), [vec![(id("phone"), subscription("new"))]]);
}

async fn one_is_removed_by_its_id_or_only_if_it_is_still_the_same(subject: Subject) {
    let kept = subject.stores().subscriptions;
    assert!(!kept.remove(user(7), id("phone"), None).await.unwrap());
    assert!(!kept.remove(user(7), id("phone"), Some(subscription("old"))).await.unwrap());
    kept.put(user(7), id("phone"), subscription("new")).await.unwrap();
    assert!(!kept.remove(user(7), id("phone"), Some(subscription("old"))).await.unwrap());
    assert!(kept.remove(user(7), id("phone"), Some(subscription("new"))).await.unwrap());
    kept.put(user(7), id("phone"), subscription("new")).await.unwrap();
    assert!(kept.remove(user(7), id("phone"), None).await.unwrap());
    assert_eq!(kept.of(vec![user(7)]).await.unwrap(), [vec![]]);
}

async fn there_is_room_for_a_few(subject: Subject) {
    let kept = subject.stores().subscriptions;
    for number in 0..SUBSCRIPTIONS_A_USER_MAX {
        assert!(kept.put(user(7), id(&format!("s{number}")), subscription("one")).await.unwrap());
    }
    assert!(!kept.put(user(7), id("more"), subscription("more")).await.unwrap());
    assert!(kept.put(user(7), id("s0"), subscription("other")).await.unwrap());
    assert!(kept.put(user(8), id("more"), subscription("more")).await.unwrap());
    assert!(kept.remove(user(7), id("s1"), None).await.unwrap());
    assert!(kept.put(user(7), id("more"), subscription("more")).await.unwrap());
}

async fn subscriptions_outlive_the_process(mut subject: Subject) {
    let kept = subject.stores().subscriptions;
    kept.put(user(7), id("phone"), subscription("phone")).await.unwrap();
    drop(kept);
    subject.reopen().await;
    let kept = subject.stores().subscriptions;
    assert_eq!(kept.of(vec![user(7)]).await.unwrap(), [vec![(id("phone"), subscription("phone"))]]);
}

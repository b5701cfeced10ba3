//! English words that change what an answer says, and words that do not.

/// Whether a word in lower case is one of a list.
pub(super) fn among(word: &str, list: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == word)
}

/// Words at the start of a last sentence that say nothing.
pub(super) const CONNECTIVES: &str = "\
    so thus therefore hence then finally and we get have it is it's that's this that gives which there \
    are equals in total altogether i think believe";
/// Words before the letter of a choice.
pub(super) const CHOOSING: &str = "\
    choose pick select with option choice answer";
/// Words with which a sentence does not state its only number as the answer; so does any word in `n't`.
pub(super) const DENIALS: &str = "\
    not no none never cannot without or than if between except excluding wrong incorrect false untrue mistaken \
    mistakenly wrongly incorrectly maybe perhaps possibly might unless neither nor but unlikely impossible \
    guess step almost nearly barely hardly far close closer near too insufficient short exceed exceeds \
    exceeding beyond rather instead anything non unknown unsure uncertain doubt assume assuming suppose \
    lack lacks lacked lacking unlike refuse refuses refused deny denies denied avoid avoids avoided \
    within let try whether wonder consider imagine differ differs exclude excluded eliminate eliminated \
    reject rejected fail fails failed invalid contradiction contradicts ruled bound";
/// Words that take back what was said before them.
pub(super) const RETRACTIONS: &str = "\
    but however wait actually sorry oops although though unless if maybe perhaps rather instead yet hmm";
/// Words behind a number and its unit with which the rest of a sentence begins.
pub(super) const ENDINGS: &str = "\
    in on at from for to by with that which who when while where will would can could should must may is are \
    was were has have had do does did left remain remains remaining needed required so during over under \
    before after until through throughout across into because since among";
/// Words before a number that make another one of it.
pub(super) const OPERATIONS: &str = "\
    double doubled twice thrice triple quadruple half third quarter thirds quarters fifth tenth \
    hundredth thousandth root log ln logarithm lg exp exponential sin sine cos cosine tan tangent cot \
    sec csc reciprocal inverse opposite negation sum product quotient difference factorial square \
    squared cube cubed power times plus minus negative divided modulo mod abs absolute floor ceiling \
    multiple multiples factor factors divisor divisors percent hundred dozen sqrt multiplied added \
    subtracted less fewer more before after until above below over under binary octal hexadecimal exponent inverted halved \
    add subtract multiply divide plug substitute";
/// Words behind which a number is a name.
pub(super) const NUMBERED: &str = "\
    equation eq problem theorem lemma step case page chapter question figure table section example exercise part \
    point option line round level room day";
/// What a sentence may give the size of, as in `a total of 10`; other things `of 10` are not 10.
pub(super) const MEASURES: &str = "\
    total maximum minimum value length width height depth area volume distance speed velocity rate cost \
    price profit loss amount number average mean median mode range probability perimeter circumference \
    radius diameter weight mass age score answer result solution time temperature salary income balance \
    count population discount change remainder capacity slope angle measure size bill fee savings \
    revenue tip tax payment degree";
/// Words of formulas.
pub(super) const FORMULAS: &str = "\
    plus minus negative times multiplied over divided squared cubed factorial raised power root twice double \
    triple point out in to";
/// Words behind a number that change or deny it: what holds one of them is no quantity.
pub(super) const NOT_UNITS: &str = "\
    not or but no never than less least most fewer greater smaller over under plus minus times if is isn t \
    wrong incorrect false remainder to and maybe except without nor instead mod r divided squared cubed \
    percentage was are equals choose factorial log between above below at either neither half quarter third \
    quarters thirds halves doubled tripled halved negated inverted root reciprocal negative factor factors \
    multiplied rounded fold base binary octal hexadecimal before after ish fails failed excluded short shy \
    too";
/// Short words that are no products of variables.
pub(super) const ENGLISH: &str = "\
    is it in of to or no an at as on we so he do if by my us up go be me am the and not all any one two yes \
    you are was has can for but mod none true odd even both four five nine six ten half more less over each \
    left than from with into that this will have were when then only also same most used paid its his her \
    our she they per day days here out who how why had did pick";
/// Nouns before `of` and an amount that make it a negative one.
pub(super) const LOSSES: &str = "\
    loss debt deficit decrease decline drop fall reduction shortfall overdraft";
/// Verbs and the like before an amount that may make it a negative one.
pub(super) const LOSING: &str = "\
    down lost lose loses owe owes owed owing decreased declined dropped fell";
/// Words around a number that say nothing of what it is, and verbs that any sentence about it may have.
pub(super) const WRAPPERS: &str = "\
    a an the this that these those there here it its he she they we you i his her their our my your him them us \
    answer answers result results solution solutions value values number numbers total amount count quantity final \
    correct exact exactly about approximately approx roughly around nearly almost circa ca only just simply \
    overall all altogether together each every any some more per of to and or as so be been being is are was were \
    am also now still because since if then than when what which who whom whose how where why not no \
    take takes took taken make makes made give gives gave given find finds found use uses used become becomes \
    cost costs spend spends spent include includes contain contains require requires need needs needed come comes \
    came add adds get gets got gotten have has had there's that's it's unit units piece pieces item items time times \
    equal equals";
/// Words of which one says the opposite of the other.
pub(super) const OPPOSITES: &[(&str, &str)] = &[
    (
        "increase increased increasing rise rose risen rising gain gained grew grow grown growth up higher profit surplus \
         won win above more earned",
        "decrease decreased decreasing fall fell fallen falling drop dropped decline declined lose lost loss down lower \
         deficit below less fewer",
    ),
    ("left", "right"),
    ("north northern northward", "south southern southward"),
    ("east eastern eastward", "west western westward"),
    ("first", "last"),
    ("minimum min least smallest lowest", "maximum max most largest biggest highest greatest"),
    ("before earlier", "after later"),
    ("ahead", "behind"),
    ("over above", "under below"),
    ("credit deposit deposited income", "debit withdrawal withdrew withdrawn expense"),
    ("bought buy", "sold sell"),
    ("clockwise", "counterclockwise anticlockwise"),
    ("odd", "even"),
    ("positive", "negative"),
    ("up upward", "down downward"),
    ("inside", "outside"),
];

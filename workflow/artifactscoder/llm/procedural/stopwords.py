"""Words that never belong to a key phrase: function words, verbs of briefs and requests, words about pages at large."""

from __future__ import annotations

FUNCTION = """
a about above across after again against ago all alone along already also although always am among an and another
any anything apart are around as aside at away back be because been before behind being below beside between beyond
both but by can cannot could did do does doing done down due during each either else enough even ever every everyone
everything few for forth from further get gets given gives had half has have having he her here hers him his how
however i if in including inside instead into is it its itself just keep keeping keeps kept last later least less
let lets like likely made make makes many may me might mine more most much must my near nearly need needed needs
neither never next no nobody none nor not nothing now of off often on once one ones only onto or other others our
out outside over own part parts per perhaps plus quite rather really same shall she should since so some somebody
someone something soon still such than that the their them themselves then there these they thing things this those
though through throughout till to together too towards under unless until up upon us use used useful user users uses
using usual very via was way ways we well were what whatever when whenever where whether which while who whole whom
whose why will with within without would yes yet you your yours yourself zero two three four five six seven eight
nine ten eleven twelve twenty thirty forty fifty hundred thousand first second third fourth fifth twice dozen
several various certain particular
""".split()

VERBS = """
accept accepts according act acts add added adding adds adjust adjusts affects agree allow allowed allows answer
answers appear appearing appears apply applied applies arrange arranged arrive arrives ask asked asks assign
assigned assigns attach become becomes begin begins belong belongs blend blocks bounce break breaks bring brings
browse browsed build builds built burn buy buys calculate calculated calculates call called calls cancel cancels
capture captures carries carry cast catch cause change changed changes changing check checked checks choose chooses
choosing chosen click clicked clicking clicks climb close closes collapse collapses collect collected collects
combine combined combines come comes compare compared compares comparing complete computed computes confirm
confirmed confirms connect connected connects consider contain contains continue control controls convert converted
converts copied copies copy correct corrected count counted counting counts cover covers create created creates
creating cross crosses cut cuts deal decide decides deduct delete deleted depends describe described design designed
develop differ differs disappear display displayed displays divide divided drag dragged dragging drags draw drawing
drawn draws drift drop dropped drops edit edited editing edits enable end ended ends enter entered entering enters
estimate estimated estimates expand expect explain explained explains explore explored exports extend fade fall
falling falls feed feeds feel fill filled filling fills filter filtered filtering filters find finds finish finished
finishes fit fits flag flagged flags flip flips float flow flows focus fold folds follow followed following follows
forget form forms freeze generate generated generates generating give glow glows go goes going grow growing grows
guess guide guides handle handled handles happen happens held help helps hide hides hit hold holds hover hovered
hovering identify imagine import improve include included includes increase inspect invent invented jump jumps join
joined joins judge know known label labelled labels land lead leads learn learned learns leave leaves leaving left
light lights limit limited limits link linked links list listed listing lists live load loads lock locked locks log
logged logging logs look looks loop loops lose loses lost manage managed manages managing map mapped mark marked
marking marks match matched matches matching mean measure measured measures meet merge merged merges mirrors mix
mixed move moved moves moving mute name named names navigate nested note notes notice offer offered offers open
opened opening opens operate order ordered orders organise own pack paint painted pair paired pass passed passes
paste pasted pause paused pauses pay pays pick picked picking picks pinned pin pins place placed places placing plan
planned plans play played playing plays plot plotted plots point pointing points possible practise predict prepare
present press pressed prevent preview print printed prints produce produced produces protect prove provide provides
pull pulled pulls push pushed pushes put puts quote raise raises rank ranked ranks react reach reached read reading
reads rearrange recalculate recalculates receive received recolour record recorded records recoloured redraw redraws
refuse refused refuses register relink remain remains remember remembered remembers remove removed removes rename
reorder reordered reordering repeat repeated repeats replace replay reply replies report reports requires resize
resized resolve respond responds rest restore return returned returns reveal revealed reveals reverse review
reviewed rise rises roll rolled rolls rotate rotated rotates round run running runs save saved saves say says scale
scaled score scored scroll scrolled scrolling scrolls search searched searches see seen select selected selects send
sends sent separate separates set sets setting share shared shares shift shifts show showing shown shows shrink
shrinks shuffle sit sits skip slide sliding slow snap snaps solve sort sorted sorting sorts speak split splits
spread stack stacked stands start started starts stay stays step steps stop stops store stored suggest suggested
supports survive survives swap swaps swipe swiped swipes switch switched switches switching synthesised take taken
takes tap tapped tapping taps teach tell tells test tested tests tick ticked ticks tilt toggle toggled toggles touch
total totals trace track tracked tracks train transform translate translated travel tried trigger tries try trying
turn turned turning turns type typed types typing undo unfold unfolds unlock unlocked unlocks untick update updated
updates vary view viewed views visit visited vote wait waiting waits walk walks want wants warn warns watch watched
weighs weighted win wins work working works wrap write writes writing written zoom zooms summed simulate simulated
simulates pushing refilling merging ride rides
""".split()

GENERAL = """
page pages web website websites site app application applications html css js javascript file files browser single
single-file self-contained complete full fully build create design interface front-end frontend demo prototype
screen screens server network code library libraries framework external resource resources network-free offline
vanilla plain modern simple simply clean nice beautiful great good better best new large small big tiny long short
high low different similar important main real true false visible current available able easy easily quick quickly
clear clearly carefully fast responsive mobile desktop tablet phone phones accessible accessibility animated
animation animations interactive interaction minimal minimalist dark light colour color colours scheme theme layout
style styles styled feature features function functions functional requirement requirements request task tasks title
description content contents section sections button buttons keyboard mouse pointer touch-sized reduced-motion
motion storage localstorage canvas svg state states please wish wishes visitor visitors people audience everybody
person persons example examples sample samples etc kind kinds sort thing stuff way gamified gamification
internationalisation localisation real-time realtime version versions brief spec prompt idea rewrite rewritten
purpose one-page basic advanced whole experienced widget component components must-have overall generous essential
automatically always visually respectively editable draggable clickable adjustable automatic invented fictional mock
printable optional entire suited suitable usable understandable readable
""".split()

STOP = frozenset(FUNCTION + VERBS + GENERAL)

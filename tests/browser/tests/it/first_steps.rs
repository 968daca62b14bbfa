use anyhow::Result;

use crate::logged_in;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_empty_server_to_a_project() -> Result<()> {
    let (server, browser) = logged_in().await?;
    browser.sees("No project yet").await?;
    browser.shoot("projects-empty").await?;
    browser.click("a[href='/projects/new']").await?;
    browser.fill("#name", "My <b>Shop</b>").await?;
    browser.fill("#path", "not a path").await?;
    browser.click("main button.primary").await?;
    browser.sees("is no path for a project").await?;
    browser.shoot("project-new").await?;
    browser.fill("#path", "team/shop").await?;
    browser.click("main button.primary").await?;
    browser.sees("First steps").await?;
    browser.sees("My <b>Shop</b>").await?;
    browser.shoot("project-empty").await?;
    for place in ["merge_requests", "merge_requests/new", "pipelines", "environments"] {
        browser.open(&format!("{}/team/shop/-/{place}", server.url)).await?;
        browser.shoot(&format!("{}-empty", place.replace('/', "-"))).await?;
    }
    browser.open(&server.url).await?;
    browser.shoot("projects").await?;
    // The refused form is answered with 400.
    browser.console_is_clean(&["400"]).await?;
    browser.quit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn language_colours_and_keys() -> Result<()> {
    let (server, browser) = logged_in().await?;
    browser.click("button[value='dark']").await?;
    browser.find("html[data-theme='dark']").await?;
    browser.shoot("projects-dark").await?;
    browser.click("button[value='zh-CN']").await?;
    browser.find("html[lang='zh-CN'][data-theme='dark']").await?;
    browser.sees("暂无项目").await?;
    browser.click("button[value='en']").await?;
    browser.sees("No project yet").await?;
    browser.find("body").await?.send_keys("?").await?;
    browser.until("return document.getElementById('keys').matches(':modal')").await?;
    browser.shoot("keys").await?;
    browser.open(&format!("{}/nothing/here", server.url)).await?;
    browser.sees("Nothing is here").await?;
    browser.shoot("problem").await?;
    browser.console_is_clean(&["404"]).await?;
    browser.quit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_survives_the_login() -> Result<()> {
    let (server, browser) = logged_in().await?;
    browser.click("form[action='/logout'] button").await?;
    browser.find("#username").await?;
    browser.open(&format!("{}/projects/new", server.url)).await?;
    browser.fill("#username", "admin").await?;
    browser.fill("#password", "wrong").await?;
    browser.click("main button.primary").await?;
    browser.sees("Login name or password is wrong.").await?;
    browser.shoot("login").await?;
    browser.fill("#password", &server.token).await?;
    browser.click("main button.primary").await?;
    browser.sees("Create project").await?;
    browser.open(&server.login).await?;
    browser.sees("used up or too old").await?;
    browser.console_is_clean(&["403"]).await?;
    browser.quit().await
}
